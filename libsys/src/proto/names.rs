//! `names`: which program answers for a name. It only translates; the authority to open is the caller's own.

/// `w0` = length of the name at the start of lease 0 (READ and WRITE, [`super::io::NAME_MAX`] bytes). Replies `w0` = length of the
/// program's name, put at the start of the lease, `w1` = where in the asked name the server's part begins. Label 0 or an
/// [`super::io::IoError`]'s code.
pub const TRANSLATE: u32 = super::io::FIRST_OTHER;
