//! `proto/` in, Rust in `OUT_DIR` out; no protoc needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const SCHEMA: &str = "proto/sparkplug_b.proto";
    println!("cargo::rerun-if-changed={SCHEMA}");
    prost_build::Config::new().compile_fds(protox::compile([SCHEMA], ["proto"])?)?;
    Ok(())
}
