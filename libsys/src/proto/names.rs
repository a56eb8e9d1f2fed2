//! `names`: which program answers for a name. It only translates; the authority to open is the caller's own.

/// `w0` = length of the name at the start of lease 0 (READ and WRITE, [`super::io::NAME_MAX`] bytes). Replies `w0` = length of the
/// program's name, put at the start of the lease, `w1` = where in the asked name the server's part begins. Label 0 or an
/// [`super::io::IoError`]'s code.
pub const TRANSLATE: u32 = super::io::FIRST_OTHER;
/// `w0` = which, from 0 on; lease 0 (WRITE), [`super::io::NAME_MAX`] bytes: a prefix that some program answers for. Replies `w0` =
/// its bytes, 0 behind the last.
pub const PREFIX: u32 = super::io::FIRST_OTHER + 1;
