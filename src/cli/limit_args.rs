//! How many calls a tenant or a key may make, as the command line says it.

use std::str::FromStr;

use crate::tenancy::CallLimits;

/// A number of calls, or `none` for as many as one likes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calls<T>(Option<T>);

impl<T: FromStr + PartialOrd + From<u8>> FromStr for Calls<T> {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self(None));
        }
        let calls: Option<T> = text.parse().ok();
        calls
            .filter(|calls| *calls >= T::from(1))
            .map(|calls| Self(Some(calls)))
            .ok_or("this takes a number of calls, 1 or more, or none for as many as one likes")
    }
}

#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Limits {
    /// How many calls there may be in a minute on each server, or none for no limit
    #[arg(long, value_name = "NUMBER")]
    calls_per_minute: Option<Calls<i32>>,
    /// How many calls there may be in a calendar month, or none for no limit
    #[arg(long, value_name = "NUMBER")]
    calls_per_month: Option<Calls<i64>>,
}

impl Limits {
    /// Whether nothing was said.
    pub(super) const fn is_empty(&self) -> bool {
        self.calls_per_minute.is_none() && self.calls_per_month.is_none()
    }

    /// What was there before, with what was said.
    pub(super) fn of(&self, before: CallLimits) -> CallLimits {
        CallLimits {
            calls_per_minute: self
                .calls_per_minute
                .map_or(before.calls_per_minute, |calls| calls.0),
            calls_per_month: self
                .calls_per_month
                .map_or(before.calls_per_month, |calls| calls.0),
        }
    }
}

/// The call_limits in words.
pub(super) fn words_for(call_limits: CallLimits) -> String {
    match (call_limits.calls_per_minute, call_limits.calls_per_month) {
        (None, None) => "as many calls as it likes".to_owned(),
        (Some(minute), None) => format!("{minute} calls a minute"),
        (None, Some(month)) => format!("{month} calls a month"),
        (Some(minute), Some(month)) => format!("{minute} calls a minute and {month} a month"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_calls_is_read_and_nonsense_refused() {
        assert_eq!("none".parse::<Calls<i32>>().unwrap().0, None);
        assert_eq!("600".parse::<Calls<i32>>().unwrap().0, Some(600));
        for wrong in ["0", "-1", "", "many", "99999999999"] {
            assert!(wrong.parse::<Calls<i32>>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_said_stays() {
        let before = CallLimits {
            calls_per_minute: Some(60),
            calls_per_month: Some(1000),
        };
        let limits = Limits {
            calls_per_minute: Some(Calls(None)),
            calls_per_month: None,
        };
        assert_eq!(words_for(limits.of(before)), "1000 calls a month");
    }
}
