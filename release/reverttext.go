package release

import (
	"fmt"
	"path"
	"strings"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/oneline"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/secrets"
)

// Branches begins the names of the branches of reverts of the environment.
func (r Revert) Branches() string { return "revert/" + r.Environment + "/" }

// TakeUp finds the revert that an earlier run committed; nil if there is none.
func (r Revert) TakeUp(w *proposal.Worktree) (*proposal.Commit, error) {
	commit, err := w.TakeUp(proposal.Wanted{
		What: "a revert of " + r.Environment,
		Matches: func(message, branch string) bool {
			trailers := proposal.Trailers(message)
			environment, commit, _ := strings.Cut(trailers[trailerReverted], " ")
			return environment == r.Environment && trailers[trailerRevert] == branch && (r.Commit == "" || r.Commit == commit)
		},
	})
	if commit != nil {
		commit.Text = commit.Body(trailerReverted)
	}
	return commit, err
}

// Title is that of the commit and of the merge request, as GitLab writes it.
func (p *RevertPlan) Title() string {
	return fmt.Sprintf("Revert %q", oneline.Cut(p.Subject, maxSubject))
}

// maxSubject bounds how much of the subject of a commit is repeated.
const maxSubject = 150

// Propose commits a revert, on a branch of its own.
func (p *RevertPlan) Propose(w *proposal.Worktree, author, reason string) (*proposal.Commit, error) {
	if len(p.Files) == 0 {
		return nil, fault.New(fault.Place{}, "name another commit with --commit", "what commit %s changed in %s is no longer there", record.Short(p.Reverts), p.Environment)
	}
	branch := Revert{Environment: p.Environment}.Branches() + record.Short(p.Reverts)
	text := fmt.Sprintf("%s\n\nThis reverts commit %s in %s.\n", p.Title(), p.Reverts, p.Environment)
	if reason != "" {
		text += "\n" + reason + "\n"
	}
	for i, place := range p.Beside { // also for a run that finishes this one
		if i == 0 {
			text += "\n" + besideText + "\n"
		}
		text += "- " + place + "\n"
	}
	text += fmt.Sprintf("\n%s: %s %s\n%s: %s\n", trailerReverted, p.Environment, p.Reverts, trailerRevert, branch)
	commit, err := w.Commit(proposal.Draft{Files: p.Files, Branch: branch, Message: text, Author: author})
	if err != nil {
		return nil, err
	}
	commit.Text = p.Text(reason)
	return commit, nil
}

// besideText is about lines that are next to those of a later commit: git would call that a conflict.
const besideText = "Check that these lines, which go back, fit those next to them, which a later commit has changed:"

// Text describes a revert in its merge request.
func (p *RevertPlan) Text(reason string) string {
	text := fmt.Sprintf("This reverts commit %s in %s: from release %s to %s.\n", p.Reverts, p.Environment, report.Escape(p.Release), report.Escape(p.Back))
	if p.Back == p.Release {
		text = fmt.Sprintf("This reverts commit %s in %s. Its release %s stays.\n", p.Reverts, p.Environment, report.Escape(p.Release))
	}
	if reason != "" {
		text += "\n" + report.Escape(reason) + "\n"
	}
	text += "\n## Changes\n\n"
	for _, file := range p.Files {
		text += "- " + report.Escape(file.Path) + "\n"
	}
	for _, name := range p.Others {
		text += "- stays as it is, because it is outside of the environment's folder: " + report.Escape(name) + "\n"
	}
	text += "\n## Review Required\n\n"
	for _, file := range p.Files {
		if path.Base(file.Path) == "secrets.override.env" || secrets.Encrypted(secrets.File{Path: file.Path, Data: file.Before}, false) || isSecret(file.Path) {
			text += "- Secrets go back, too: " + report.Escape(file.Path) + "\n"
		}
	}
	if len(p.Beside) > 0 {
		text += "- " + besideText + "\n"
	}
	for _, place := range p.Beside {
		text += "  - " + report.Escape(place) + "\n"
	}
	return text + "- Migrations of the database are not taken back: the release before must run with them.\n- Approval, freezes and the order of nodes hold for the revert as for a release.\n"
}
