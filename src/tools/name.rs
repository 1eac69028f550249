//! The names of the tools, and what a key needs to call each.

use crate::tenancy::{Principal, Scope};

/// The effect of a tool on the registry. It decides whether a call is stopped when its client disconnects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SideEffect {
    /// Read-only: stopped at once when the client disconnects.
    Reads,
    /// Adds data: runs to its end, so that its usage event is correct. Calling it again adds again.
    Adds,
    /// As [`Self::Adds`], but calling it again with the same arguments changes nothing more.
    AddsOnce,
    /// Changes or withdraws what others see: runs to its end, and the same call again changes nothing more.
    Changes,
}

macro_rules! tool_names {
    ($($variant:ident $name:literal $scope:expr, $effect:ident;)+) => {
        /// The name of a tool.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ToolName {
            $(#[doc = concat!("`", $name, "`")] $variant),+
        }

        impl ToolName {
            /// Every tool, in the order of `tools/list`.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in `tools/call`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The scope that a key needs; `None` for a tool that every valid key may call.
            #[must_use]
            pub const fn scope(self) -> Option<Scope> {
                match self { $(Self::$variant => $scope),+ }
            }

            /// The tool's effect on the registry.
            #[must_use]
            pub const fn effect(self) -> SideEffect {
                match self { $(Self::$variant => SideEffect::$effect),+ }
            }
        }
    };
}

tool_names! {
    SearchSkills   "search_skills"   Some(Scope::SkillsRead), Reads;
    GetSkill       "get_skill"       Some(Scope::SkillsRead), Reads;
    InstallSkill   "install_skill"   Some(Scope::SkillsInstall), Adds;
    ConfirmInstall "confirm_install" Some(Scope::SkillsInstall), AddsOnce;
    CheckInstalled "check_installed" Some(Scope::SkillsRead), Reads;
    RecordUsage    "record_usage"    Some(Scope::UsageWrite), AddsOnce;
    UsageReport    "usage_report"    Some(Scope::UsageRead), Reads;
    Recommend      "recommend_skills" Some(Scope::SkillsRead), Reads;
    Whoami         "whoami"          None, Reads;
    RateSkill      "rate_skill"      Some(Scope::UsageWrite), AddsOnce;
    PublishSkill   "publish_skill"   Some(Scope::SkillsPublish), AddsOnce;
    ReviewSkill    "review_skill"    Some(Scope::SkillsReview), Adds;
    ForkSkill      "fork_skill"      Some(Scope::SkillsPublish), Adds;
    UpdateSkill    "update_skill"    Some(Scope::SkillsPublish), Changes;
    YankSkill      "yank_skill"      Some(Scope::SkillsPublish), Changes;
}

impl ToolName {
    /// The tool with this name in `tools/call`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|tool| tool.as_str() == name)
    }

    /// Whether a call may hold all files of a skill in memory, several times over.
    #[must_use]
    pub const fn loads_skill(self) -> bool {
        match self {
            Self::ReviewSkill | Self::ForkSkill | Self::PublishSkill => true,
            Self::SearchSkills
            | Self::GetSkill
            | Self::InstallSkill
            | Self::ConfirmInstall
            | Self::CheckInstalled
            | Self::RecordUsage
            | Self::UsageReport
            | Self::Recommend
            | Self::Whoami
            | Self::RateSkill
            | Self::UpdateSkill
            | Self::YankSkill => false,
        }
    }

    /// Whether this principal's key may call the tool.
    #[must_use]
    pub fn allowed_for(self, principal: &Principal) -> bool {
        self.scope().is_none_or(|scope| principal.scopes.allow(scope))
            && principal.can_call_tool(self.as_str())
    }
}
