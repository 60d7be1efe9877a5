//! A device file and its settings in, a stream of raw bytes out.
//!
//! Nothing here waits for the line to be sent empty (`tcdrain` blocks its thread): whoever asks reckons with the time
//! that the bytes take.

use super::{Parity, Serial};
use rustix::{
    fs::{Mode, OFlags},
    termios::{
        ControlModes, InputModes, OptionalActions, QueueSelector, ioctl_tiocexcl, tcflush, tcgetattr, tcsetattr,
    },
};
use std::{
    io,
    os::fd::OwnedFd,
    pin::Pin,
    task::{Context as Task, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, unix::AsyncFd};

/// An open serial line, ours alone.
#[derive(Debug)]
pub(super) struct Tty(AsyncFd<OwnedFd>);

impl Tty {
    pub(super) fn open(line: &Serial) -> io::Result<Tty> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&line.device, flags, Mode::empty())?;
        let mut settings = tcgetattr(&fd)?;
        // Two masters on a line hear each other's answers.
        ioctl_tiocexcl(&fd)?;
        settings.make_raw();
        settings.set_speed(line.baud)?;
        let modes = &mut settings.control_modes;
        modes.remove(
            ControlModes::CSIZE
                | ControlModes::PARENB
                | ControlModes::PARODD
                | ControlModes::CSTOPB
                | ControlModes::CRTSCTS,
        );
        modes.insert(ControlModes::CLOCAL | ControlModes::CREAD);
        modes.insert(if line.data_bits == 7 { ControlModes::CS7 } else { ControlModes::CS8 });
        modes.insert(match line.parity {
            Parity::None => ControlModes::empty(),
            Parity::Even => ControlModes::PARENB,
            Parity::Odd => ControlModes::PARENB | ControlModes::PARODD,
        });
        if line.stop_bits == 2 {
            modes.insert(ControlModes::CSTOPB);
        }
        // A byte with wrong parity becomes 0: the checksum finds it.
        settings.input_modes.set(InputModes::INPCK, line.parity != Parity::None);
        tcsetattr(&fd, OptionalActions::Now, &settings)?;
        tcflush(&fd, QueueSelector::IOFlush)?;
        // What makes it unsound is a type whose descriptor changes; an `OwnedFd` is its descriptor until it is dropped.
        #[allow(deprecated)]
        let registered = AsyncFd::new(fd)?;
        Ok(Tty(registered))
    }
}

impl AsyncRead for Tty {
    fn poll_read(self: Pin<&mut Self>, task: &mut Task<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(task))?;
            let outcome = ready.try_io(|fd| Ok(rustix::io::read(fd, buf.initialize_unfilled())?));
            match outcome {
                Ok(Ok(bytes)) => {
                    buf.advance(bytes);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_not_ready) => {}
            }
        }
    }
}

impl AsyncWrite for Tty {
    fn poll_write(self: Pin<&mut Self>, task: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.0.poll_write_ready(task))?;
            match ready.try_io(|fd| Ok(rustix::io::write(fd, bytes)?)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(outcome) => return Poll::Ready(outcome),
                Err(_not_ready) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
