//! The options `--calls-per-minute` and `--calls-per-month` of tenants and API keys.

use std::str::FromStr;

use crate::tenancy::CallLimits;

/// A positive number of calls, or `none` for unlimited.
#[derive(Debug, Clone, Copy)]
pub(super) struct LimitArg<T>(Option<T>);

impl<T: FromStr + PartialOrd + From<u8>> FromStr for LimitArg<T> {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self(None));
        }
        let calls: Option<T> = text.parse().ok();
        calls
            .filter(|calls| *calls >= T::from(1))
            .map(|calls| Self(Some(calls)))
            .ok_or("expected a positive integer, or `none` for unlimited")
    }
}

#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Limits {
    /// Limit the calls per minute on each server, or `none`
    ///
    /// Example: --calls-per-minute 600
    #[arg(long, value_name = "NUMBER")]
    calls_per_minute: Option<LimitArg<i32>>,
    /// Limit the calls per calendar month, or `none`
    ///
    /// Example: --calls-per-month 100000
    #[arg(long, value_name = "NUMBER")]
    calls_per_month: Option<LimitArg<i64>>,
}

impl Limits {
    /// Whether neither option was given.
    pub(super) const fn is_empty(&self) -> bool {
        self.calls_per_minute.is_none() && self.calls_per_month.is_none()
    }

    /// Replaces those of the limits for which an option was given.
    pub(super) fn of(&self, before: CallLimits) -> CallLimits {
        CallLimits {
            calls_per_minute: self
                .calls_per_minute
                .map_or(before.calls_per_minute, |limit| limit.0),
            calls_per_month: self
                .calls_per_month
                .map_or(before.calls_per_month, |limit| limit.0),
        }
    }
}

/// Describes the limits after "may make".
pub(super) fn describe_limits(limits: CallLimits) -> String {
    match (limits.calls_per_minute, limits.calls_per_month) {
        (None, None) => "an unlimited number of calls".to_owned(),
        (Some(minute), None) => format!("{minute} calls a minute"),
        (None, Some(month)) => format!("{month} calls a month"),
        (Some(minute), Some(month)) => format!("{minute} calls a minute and {month} a month"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_is_a_positive_number_or_none() {
        assert_eq!("none".parse::<LimitArg<i32>>().unwrap().0, None);
        assert_eq!("600".parse::<LimitArg<i32>>().unwrap().0, Some(600));
        for wrong in ["0", "-1", "", "many", "99999999999"] {
            assert!(wrong.parse::<LimitArg<i32>>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn limit_without_an_option_is_unchanged() {
        let before = CallLimits {
            calls_per_minute: Some(60),
            calls_per_month: Some(1000),
        };
        let limits = Limits {
            calls_per_minute: Some(LimitArg(None)),
            calls_per_month: None,
        };
        assert_eq!(describe_limits(limits.of(before)), "1000 calls a month");
    }
}
