//! The steps *upload* and *commit*: the content that the agent lacks, and the message that all of it was sent.

use std::collections::HashSet;

use crate::client::outgoing_file::{OldSource, OldSources, OldVersion, OutgoingFile, outgoing_files};
use crate::client::upload::Upload;
use crate::error::Error;
use crate::report::{DeployFailure, SendReport};
use crate::signature::{SignatureKind, Signatures};
use crate::wire::bounds::{ROUNDS_MAX, SIGNATURES_BYTES_MAX};
use crate::wire::message::{FromAgent, Lacks, ToAgent};

use super::old_versions::{OldEntry, OldVersions};
use super::state::{Exchange, unexpected};
use super::tree::SentTree;

impl Exchange<'_> {
    /// Sends the content that the agent lacks. Content that does not arrive whole is sent again without deltas.
    pub(super) fn send_lacking(&mut self, lacks: &Lacks, tree: &mut SentTree) -> Result<(), DeployFailure> {
        if self.host.request.dry_run {
            self.to_send = self.count(lacks, tree)?;
            return Ok(());
        }
        let SentTree { mut old_versions, to_sign, promised, .. } = std::mem::take(tree);
        tree.promised = promised;
        self.receive_signatures(lacks, to_sign, &mut old_versions)?;
        let manifest = self.source.manifest();
        let entries = lacks.entries(manifest.len())?;
        let is_within = |&(entry, begun): &(u32, u64)| manifest.file(entry).is_some_and(|file| begun <= file.size);
        if self.sent_commits > ROUNDS_MAX || !lacks.partial.iter().all(is_within) {
            return Err(Error::Protocol("content that is asked for again and again, or beyond its end".into()).into());
        }
        self.send_content(outgoing_files(entries, &lacks.partial, &old_versions), false)?;
        Ok(self.commit()?)
    }

    /// Counts the content that the agent lacks.
    fn count(&self, lacks: &Lacks, tree: &SentTree) -> Result<SendReport, Error> {
        let manifest = self.source.manifest();
        let mut to_send = SendReport::default();
        for entry in lacks.entries(manifest.len())? {
            let size = manifest.file(entry).map_or(0, |file| file.size);
            let (bytes, differs) = match tree.old_versions.get(&entry) {
                Some(OldVersion::Large(recipe)) => (recipe.sent_bytes(), false),
                Some(OldVersion::Small(_)) => (size, true),
                None => (size, tree.differing.contains(&entry)),
            };
            to_send.files += 1;
            to_send.bytes += bytes;
            to_send.differing_bytes += if differs { bytes } else { 0 };
        }
        Ok(to_send)
    }

    /// Sends the tree and all content to a host that has nothing: there is nothing to wait for.
    pub(super) fn send_all(&mut self) -> Result<SentTree, DeployFailure> {
        let tree = self.send_tree(None)?;
        let mut seen = HashSet::new();
        let files = self.source.manifest().all_files();
        let distinct = files.filter(|(_, file)| file.size > 0 && seen.insert(file.key)).map(|(entry, _)| entry);
        self.send_content(outgoing_files(distinct.collect(), &[], &OldVersions::default()), false)?;
        self.commit()?;
        Ok(tree)
    }

    /// Sends content. Unasked content is described against the named base.
    pub(super) fn send_content(
        &mut self,
        outgoing_files: Vec<OutgoingFile>,
        is_unasked: bool,
    ) -> Result<(), DeployFailure> {
        if outgoing_files.is_empty() {
            return Ok(());
        }
        let (context, request, memory) = (self.host.context, self.host.request, self.source.memory());
        self.host.begin_upload(memory);
        for file in self.source.to_cut(&outgoing_files) {
            // A file that is not cut costs a question next time.
            self.cutter.as_ref().map_or(Ok(()), |cutter| cutter.send(file)).unwrap_or_default();
        }
        // Content that is asked for after a commit did not arrive as it should.
        let is_suspect = self.sent_commits > 0;
        let upload = Upload {
            conversation: self.conversation,
            reader: self.source.reader(&context.cancel, is_suspect),
            old_versions: OldSources { cache: memory.cache(), blobs: &self.blobs, signatures: &self.signatures },
            level: request.zstd_level,
            observer: context.observer.as_ref(),
            // An agent that takes another base does not know of lanes yet.
            lanes: if is_unasked { Some(1) } else { request.lanes },
            is_unasked,
        };
        let levels = upload.send(outgoing_files)?;
        self.conversation.delivery().note_written(self.sent_commits + 1);
        for (level, bytes) in levels {
            *self.zstd_levels.entry(level).or_default() += bytes;
        }
        Ok(())
    }

    /// Tells the agent that all content was sent.
    pub(super) fn commit(&mut self) -> Result<(), Error> {
        if !self.host.request.dry_run && !self.host.request.no_switch {
            self.conversation.note_possible_switch();
        }
        self.conversation.send(&ToAgent::Commit)?;
        self.sent_commits += 1;
        Ok(())
    }

    /// Receives the signatures that the client asked for: those of files that the agent lacks.
    fn receive_signatures(
        &mut self,
        lacks: &Lacks,
        mut to_sign: Vec<(u32, OldEntry)>,
        old_versions: &mut OldVersions,
    ) -> Result<(), DeployFailure> {
        if to_sign.is_empty() {
            return Ok(());
        }
        let FromAgent::Signatures { length } = self.conversation.next()? else { return Err(unexpected()) };
        let bytes = self.conversation.parts(length, SIGNATURES_BYTES_MAX as u64)?;
        let lacking = lacks.entries(self.source.manifest().len())?;
        to_sign.retain(|(entry, _)| lacking.binary_search(entry).is_ok());
        let lens: Vec<usize> = to_sign.iter().map(|(_, old)| old.file.size as usize).collect();
        self.signatures = Signatures::read(bytes, &lens, SignatureKind::File)
            .map_err(|reason| Error::Protocol(format!("a list of signatures that {reason}")))?;
        for (at, (entry, old)) in to_sign.into_iter().enumerate() {
            if self.signatures.has(at) {
                old_versions.insert(entry, old.small(OldSource::Signed(at)));
            }
        }
        Ok(())
    }
}
