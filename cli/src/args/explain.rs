//! The arguments of `explain`.

/// `explain`
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// The word in brackets of an error, or that of a finding of `cutover doctor`
    #[arg(value_name = "WORD")]
    pub(crate) word: String,
}
