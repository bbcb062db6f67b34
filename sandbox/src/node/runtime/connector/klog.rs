//! Log lines in klog's form: `I1122 05:57:15.000000       1 file.go:1] message`.

use k8s_openapi::jiff::Timestamp;

use crate::node::runtime::Log;

/// Writes klog lines.
pub(super) struct Klog(Log);

impl Klog {
    pub(super) fn new(log: Log) -> Self {
        Self(log)
    }

    pub(super) fn info(&self, place: &str, message: impl AsRef<str>) {
        self.write('I', place, message.as_ref());
    }

    pub(super) fn warning(&self, place: &str, message: impl AsRef<str>) {
        self.write('W', place, message.as_ref());
    }

    pub(super) fn error(&self, place: &str, message: impl AsRef<str>) {
        self.write('E', place, message.as_ref());
    }

    pub(super) fn fatal(&self, place: &str, message: impl AsRef<str>) {
        self.write('F', place, message.as_ref());
    }

    fn write(&self, severity: char, place: &str, message: &str) {
        let now = Timestamp::now().strftime("%m%d %H:%M:%S%.6f");
        self.0.write(format!("{severity}{now}       1 {place}] {message}"));
    }
}
