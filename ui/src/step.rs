//! The steps of an update, as page and workbench tell each other of them.

/// Stands for a step when the update came to its good end.
pub const DONE: &str = "done";

/// The steps of an update, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The file was checked, before anything was sent.
    Checked,
    /// The image goes over, and the logger reads it back.
    Copied,
    /// The logger restarts into its bootloader.
    Restarted,
    /// The bootloader checks the image once more and writes it.
    Installed,
    /// The new firmware answers.
    Started,
    /// It was told that it may stay.
    Confirmed,
}

impl Step {
    /// All of them.
    pub const ALL: [Step; 6] = [
        Step::Checked,
        Step::Copied,
        Step::Restarted,
        Step::Installed,
        Step::Started,
        Step::Confirmed,
    ];

    /// As the page's parts tell each other of it.
    pub fn name(self) -> &'static str {
        match self {
            Step::Checked => "checked",
            Step::Copied => "copied",
            Step::Restarted => "restarted",
            Step::Installed => "installed",
            Step::Started => "started",
            Step::Confirmed => "confirmed",
        }
    }

    /// Reads its name; none from anything else.
    pub fn read(name: &str) -> Option<Step> {
        Step::ALL.into_iter().find(|step| step.name() == name)
    }
}
