//! What the table of commands consists of, and what a build without a command has in its place.

/// A flag of a command. All flags are long: a script that uses `--config` explains itself.
pub(in crate::cli) struct Flag {
    /// Without the two dashes.
    pub(in crate::cli) name: &'static str,
    /// The name of its value in help; `None` for a switch.
    pub(in crate::cli) value: Option<&'static str>,
    pub(in crate::cli) is_required: bool,
    /// One phrase, for `-h` and for the list.
    pub(in crate::cli) short: &'static str,
    /// The text that `--help` adds; may be empty.
    pub(in crate::cli) long: &'static str,
}

/// A flag with a value of this name.
pub(super) const fn flag(name: &'static str, value: &'static str, short: &'static str) -> Flag {
    Flag { name, value: Some(value), is_required: false, short, long: "" }
}

/// A flag without a value.
pub(super) const fn switch(name: &'static str, short: &'static str) -> Flag {
    Flag { name, value: None, is_required: false, short, long: "" }
}

impl Flag {
    /// The same flag, with a text that `--help` adds.
    pub(super) const fn explained(self, long: &'static str) -> Flag {
        Flag { long, ..self }
    }
}

/// A command: one word, or two where the first names a group.
pub(in crate::cli) struct Entry {
    pub(in crate::cli) words: &'static [&'static str],
    /// The operands as usage shows them.
    pub(in crate::cli) operands: &'static str,
    /// The fewest and the most operands.
    pub(in crate::cli) operand_counts: (usize, usize),
    /// One phrase: what the command does.
    pub(in crate::cli) short: &'static str,
    /// The paragraphs that `--help` adds.
    pub(in crate::cli) long: &'static [&'static str],
    pub(in crate::cli) flags: &'static [Flag],
    /// Command lines that a user can copy.
    pub(in crate::cli) examples: &'static [&'static str],
    /// Why this build lacks the command, and what to do; empty if it has it.
    pub(in crate::cli) refusal: &'static str,
}

/// The members that most commands share.
pub(super) const ENTRY: Entry = Entry {
    words: &[],
    operands: "",
    operand_counts: (0, 0),
    short: "",
    long: &[],
    flags: &[],
    examples: &[],
    refusal: "",
};

/// Whether this build runs a whole herd. Tests know all commands.
pub(super) const HAS_UP: bool = cfg!(any(test, feature = "up"));
/// Whether it has the tools for a person at a board.
pub(super) const HAS_TOOLS: bool = cfg!(any(test, feature = "tools"));
/// Whether it makes places files.
pub(super) const HAS_IMPORT: bool = cfg!(any(test, feature = "import"));

/// A command that some builds lack. Beside a refusal a build needs neither flags nor help.
pub(super) const fn only_if(is_built_in: bool, refusal: &'static str, entry: Entry) -> Entry {
    if is_built_in { entry } else { Entry { long: &[], flags: &[], examples: &[], refusal, ..entry } }
}
