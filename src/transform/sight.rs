//! What may stand at a path of an event, as far as the event's form says so.

/// What is known of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Something of the form's own.
    Known(Content),
    /// The names there are the vendor's, or the operator's.
    Free,
    /// No event has anything there. With the path that was probably meant.
    Nothing {
        /// It is one that events have.
        near: Option<String>,
    },
}

/// What a value may be, from what nobody looks for to what is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// A number, a time, `true`, or a word of the form itself or of the vendor's program.
    Plain,
    /// What somebody is known by to the vendor.
    Id,
    /// Any text.
    Text,
    /// An object or a list of them.
    Mixed,
    /// A user's name, which with many vendors is an e-mail address.
    Name,
    /// An e-mail address.
    Email,
    /// An IP address or a network.
    Ip,
}

impl Sight {
    /// What stands there; anything, where nobody knows.
    #[must_use]
    pub fn content(&self) -> Content {
        match self {
            Self::Known(content) => *content,
            Self::Free | Self::Nothing { .. } => Content::Mixed,
        }
    }
}
