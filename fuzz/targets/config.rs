//! Any text in; a plan or faults with their lines out, never a panic.
#![no_main]

use andon::config::load_text;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(faults) = load_text("fuzz.toml", text) {
        assert!(!faults.is_empty(), "refused without a word");
        for fault in faults {
            assert!(!fault.render().is_empty());
        }
    }
});
