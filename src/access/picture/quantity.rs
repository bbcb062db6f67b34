//! Amounts of resources as Kubernetes writes them.

/// A quantity as a number: `250m` is 0.25, `2Ki` is 2048 (apimachinery, `resource.Quantity`). `None` if it is none.
pub fn parse(text: &str) -> Option<f64> {
    let end =
        text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-' || c == '+')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024f64.powi(2),
        "Gi" => 1024f64.powi(3),
        "Ti" => 1024f64.powi(4),
        "Pi" => 1024f64.powi(5),
        "Ei" => 1024f64.powi(6),
        exponent => 10f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(number * factor)
}

/// Bytes for people: `7.6 GiB`.
pub fn bytes(bytes: f64) -> String {
    let mut amount = bytes;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if amount < 1024.0 {
            return rounded(amount, unit);
        }
        amount /= 1024.0;
    }
    rounded(amount, "TiB")
}

fn rounded(amount: f64, unit: &str) -> String {
    if amount >= 10.0 || amount.fract() == 0.0 {
        format!("{amount:.0} {unit}")
    } else {
        format!("{amount:.1} {unit}")
    }
}

/// A number of cores or pods for people: `3.92`, `110`.
pub fn count(count: f64) -> String {
    let text = format!("{count:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_as_kubernetes_writes_them() {
        for (text, number) in [
            ("4", 4.0),
            ("250m", 0.25),
            ("2Ki", 2048.0),
            ("1.5Gi", 1.5 * 1024f64.powi(3)),
            ("1e3", 1000.0),
            ("12E2", 1200.0),
            ("3E", 3e18),
            ("5k", 5000.0),
        ] {
            assert_eq!(parse(text), Some(number), "{text}");
        }
        for none in ["", "x", "4x", "1e", "--1", "1Kib"] {
            assert_eq!(parse(none), None, "{none}");
        }
    }

    #[test]
    fn amounts_for_people() {
        assert_eq!(bytes(512.0), "512 B");
        assert_eq!(bytes(8_148_484_096.0), "7.6 GiB");
        assert_eq!(bytes(16.0 * 1024f64.powi(3)), "16 GiB");
        assert_eq!((count(3.92), count(110.0), count(0.5)), ("3.92".into(), "110".into(), "0.5".into()));
    }
}
