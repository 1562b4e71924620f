//! The agent's answers between two steps of the client.

use crate::client::shared_manifest::SharedManifest;
use crate::client::verdict;
use crate::manifest::outline;
use crate::report::DeployFailure;
use crate::wire::bounds::TREE_BYTES_MAX;
use crate::wire::message::{AgentBase, BaseName, DeployDone, FromAgent, Holding, Lacks, Reply, ToAgent};

use super::base::Base;
use super::state::{Exchange, Opening, unexpected};
use super::tree::SentTree;

/// An answer: the agent says what it waits for.
pub(super) enum Answer {
    /// The agent takes this base, or none, and waits for the tree, described against the base.
    TakesBase(Option<Base>),
    /// The agent has no base and an empty store: it waits for the tree and all content.
    StoresNothing,
    /// The agent waits for the hashes that were promised.
    WantsHashes,
    /// The agent waits for content.
    Lacks(Lacks),
    /// The agent waits for nothing any more.
    Done(Box<DeployDone>),
}

impl Exchange<'_> {
    /// Waits until the agent waits for something. Meanwhile its messages complete `tree`.
    pub(super) fn answer(&mut self, tree: &mut SentTree) -> Result<Answer, DeployFailure> {
        let mut message = self.conversation.wait()?;
        loop {
            match message {
                FromAgent::Done(Reply::Deploy(done)) => return Ok(Answer::Done(done)),
                FromAgent::Ready { holding, base, commit, .. } => {
                    if let Some(answer) = self.handle_ready(holding, base, commit, tree)? {
                        return Ok(answer);
                    }
                }
                FromAgent::WantsVerdict => verdict::give(self.host.context, self.conversation)?,
                // Before the agent has said which base it takes, it may send nothing else.
                _ if matches!(self.opening, Some(Opening::Question { .. })) => return Err(unexpected()),
                // Ignores a `Lacks` that the agent sent before it read the last `Commit`.
                FromAgent::Lacks(lacks) if lacks.after_commits < self.sent_commits => {}
                FromAgent::Lacks(lacks) => return Ok(Answer::Lacks(lacks)),
                FromAgent::GapSignatures { length } => {
                    let gaps = std::mem::take(&mut tree.gaps);
                    self.close_gaps(&gaps, length, &mut tree.old_versions)?;
                }
                FromAgent::WantHashes if !tree.promised.is_empty() => return Ok(Answer::WantsHashes),
                FromAgent::Manifest { name, length } => {
                    // A guess from the outline was wrong.
                    let outline = tree.outline.take().ok_or_else(unexpected)?;
                    let bytes = self.conversation.parts(length, TREE_BYTES_MAX)?;
                    return Ok(Answer::TakesBase(Some(Base::whole(name, &bytes, outline.commit)?)));
                }
                _ => return Err(unexpected()),
            }
            message = self.conversation.next()?;
        }
    }

    /// Handles the base that the agent takes. Returns none if the tree that was sent is described against that base.
    fn handle_ready(
        &mut self,
        holding: Option<Holding>,
        base: AgentBase,
        commit: Option<String>,
        tree: &SentTree,
    ) -> Result<Option<Answer>, DeployFailure> {
        if let Some(holding) = holding {
            self.holding = holding;
        }
        let name = |base: AgentBase| if let AgentBase::Another(name) = base { Some(name) } else { None };
        match (self.opening.take().ok_or_else(unexpected)?, base) {
            (Opening::Flight, AgentBase::Proposed) => Ok(None),
            (Opening::Flight, base) => {
                self.drop_gaps(&tree.gaps)?;
                Ok(Some(Answer::TakesBase(self.learn_base(name(base), commit, false)?)))
            }
            (Opening::Question { expected: Some(expected), .. }, AgentBase::Proposed) => {
                Ok(Some(Answer::TakesBase(Some(Base { commit, ..expected }))))
            }
            (Opening::Question { expected: None, .. }, AgentBase::Proposed) => Err(unexpected()),
            (Opening::Question { .. }, AgentBase::Empty) => Ok(Some(Answer::StoresNothing)),
            (Opening::Question { expected, wants_outline }, base) => {
                // The manifest takes memory.
                drop(expected);
                Ok(Some(Answer::TakesBase(self.learn_base(name(base), commit, wants_outline)?)))
            }
        }
    }

    /// Returns the base that the agent takes: with the manifest from this machine, or with an outline from the agent.
    /// The client has asked for the outline already, or asks now.
    fn learn_base(
        &self,
        base: Option<BaseName>,
        commit: Option<String>,
        has_asked: bool,
    ) -> Result<Option<Base>, DeployFailure> {
        let Some(name) = base else { return Ok(None) };
        let known = Base::find(self.source, name.clone()).map(|base| Base { commit: commit.clone(), ..base });
        if known.is_some() && !has_asked {
            return Ok(known);
        }
        let answer = if has_asked {
            self.conversation.next()?
        } else {
            self.want_outline()?;
            self.conversation.wait()?
        };
        let FromAgent::Outline { length } = answer else { return Err(unexpected()) };
        let bytes = self.conversation.parts(length, outline::OUTLINE_BYTES_MAX)?;
        let base = match (known, outline::decode(&bytes, self.source.manifest())) {
            (Some(known), _) => return Ok(Some(known)),
            (None, Ok(manifest)) => {
                let is_outlined = manifest.root() != name.root;
                Base { name, manifest: SharedManifest::Alone(manifest), commit, is_outlined }
            }
            (None, Err(_)) => {
                self.conversation.send(&ToAgent::WantBase)?;
                let (name, bytes) = self.conversation.manifest()?;
                Base::whole(name, &bytes, commit)?
            }
        };
        if !base.is_outlined {
            let (holding, release) = (&self.holding, &base.name.release);
            let put = |manifest| self.source.memory().ask(|database| database.put_release(holding, release, manifest));
            put(&base.manifest);
        }
        Ok(Some(base))
    }
}
