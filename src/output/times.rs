//! Times as people read them.

use jiff::Timestamp;

/// `2026-11-28 14:00 UTC`.
pub(super) fn at(time: Timestamp) -> String {
    time.strftime("%F %R UTC").to_string()
}

/// `12 s ago`, `3 h ago`, `in 2 d`.
pub(super) fn distance(now: Timestamp, time: Timestamp) -> String {
    let seconds = now.as_second() - time.as_second();
    let span = span(seconds.unsigned_abs());
    if seconds < 0 { format!("in {span}") } else { format!("{span} ago") }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_in_the_unit_that_matters() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let said = |seconds: i64| distance(now, Timestamp::from_second(1_800_000_000 - seconds).unwrap());
        assert_eq!(
            [said(0), said(119), said(120), said(7199), said(7200), said(172_800), said(-7200)],
            ["0 s ago", "119 s ago", "2 min ago", "119 min ago", "2 h ago", "2 d ago", "in 2 h"]
        );
    }
}
