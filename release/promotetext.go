package release

import (
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/proposal"
)

// The last lines of a promotion's commit, by which a later run finds it.
const (
	trailerPromoted = "Promoted" // "<from> <to> <release>"
	trailerBranch   = "Promotion-Branch"
	trailerOf       = "Refs"
	trailerUnproven = "Unproven" // why it was moved all the same
)

// Branch gives the branch of the promotion. The same files have the same one.
func (p *PromotionPlan) Branch() string {
	return promotionBranches(p.From, p.To) + record.Short(p.Commit)
}

// promotionBranches begins the names of the branches between two environments.
func promotionBranches(from, to string) string { return "promote/" + from + "-to-" + to + "-" }

// Taken gives what the commit of an earlier run was made of: the commit whose files it moves,
// and why they are moved though the release is not proven.
func Taken(commit *proposal.Commit) (of, reason string) {
	trailers := commit.Trailers()
	return trailers[trailerOf], trailers[trailerUnproven]
}

// Title is that of the merge request.
func (p *PromotionPlan) Title() string { return "Promote configuration: " + p.From + " → " + p.To }

// Message is the message of the commit.
func (p *PromotionPlan) Message(reason string) string {
	text := fmt.Sprintf("config: promote %s → %s\n\nPromoted release %s from %s to %s\n\n", p.From, p.To, p.Release, p.From, p.To)
	for _, pair := range p.Nodes {
		text += fmt.Sprintf("- %s gets the release of %s\n", pair.To, pair.From)
	}
	if reason != "" {
		reason = trailerUnproven + ": " + reason + "\n"
	}
	return text + fmt.Sprintf("\n%s: %s\n%s%s: %s %s %s\n%s: %s\n", trailerOf, p.Commit, reason, trailerPromoted, p.From, p.To, p.Release, trailerBranch, p.Branch())
}

// Text describes the promotion in its merge request.
func (p *PromotionPlan) Text(proofs []Proof, reason string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("Automated configuration promotion from %s to %s, of commit %s.\n", p.From, p.To, p.Commit)
	line("## Changes\n")
	line("- Release %s", report.Escape(p.Release))
	for _, pair := range p.Nodes {
		line("- %s gets the release of %s", pair.To, pair.From)
	}
	for _, file := range p.Files {
		line("- %s", report.Escape(file.Path))
	}
	for _, one := range p.Dropped {
		line("- %s: %s=%s ends: %s does not have it", one.Node, one.Name, report.Escape(one.Tag), p.From)
	}
	for _, file := range p.LeftOut {
		line("- not moved: %s, which %s does not have", report.Escape(file), p.To)
	}
	for _, name := range p.Left {
		line("- not set: %s, which %s does not need", report.Escape(name), p.To)
	}
	line("\n## Review Required\n")
	line("- Verify all changes are appropriate for %s environment", p.To)
	p.reviewed(line)
	line("\n## Proof\n")
	if reason != "" {
		line("**Not proven in %s**: %s\n", p.From, report.Escape(reason))
	}
	for _, proof := range proofs {
		if proof.Lacks == "" {
			line("- %s succeeded with commit %s", proof.Node, record.Short(proof.Commit))
		} else {
			line("- %s: %s", proof.Node, report.Escape(proof.Lacks))
		}
	}
	line("\n## Next Steps\n\n%s", nextSteps(p.config))
	return b.String()
}

// reviewed lists what a reviewer looks at.
func (p *PromotionPlan) reviewed(line func(format string, args ...any)) {
	line("- Check resource allocations%s", none(len(p.Resources)))
	if len(p.Resources) > 0 {
		line("\n| node | service | | %s | %s now | %s then |\n| --- | --- | --- | --- | --- | --- |", p.From, p.To, p.To)
		for _, r := range p.Resources {
			line("| %s | %s | %s | %s | %s | %s |", r.Node, report.Escape(r.Service), r.What, r.From, r.To, r.After)
		}
		line("")
	}
	line("- Validate feature flags%s", none(len(p.Flags)))
	if len(p.Flags) > 0 {
		line("\n| node | flag | %s | %s |\n| --- | --- | --- | --- |", p.From, p.To)
		for _, flag := range p.Flags {
			line("| %s | %s | %s | %s |", flag.Node, report.Escape(flag.Name), report.Escape(flag.From), report.Escape(flag.To))
		}
		line("")
	}
	if len(p.Beside) > 0 {
		line("- Check that these lines of %s fit those next to them, which %s has changed:", p.From, p.To)
		for _, place := range p.Beside {
			line("  - %s", report.Escape(place))
		}
	}
	if len(p.Secrets) > 0 {
		line("- Add the secrets that %s lacks, before the merge:", p.To)
		for _, secret := range p.Secrets {
			line("  - %s: %s", secret.Node, report.Escape(secret.Name))
		}
	}
	if len(p.Problems) > 0 {
		line("- Correct what `agent check` finds:")
		for _, problem := range p.Problems {
			line("  - %s", report.Escape(problem))
		}
	}
}

func none(count int) string {
	if count == 0 {
		return ": none differ"
	}
	return ""
}

// nextSteps says what happens after the merge, by the config.yml of the environment.
func nextSteps(config *manifests.Config) string {
	name := config.Environment.Name
	var steps []string
	for _, one := range config.Approvals() {
		who := "everyone except the author of the merge request"
		if len(one.Approvers) > 0 {
			who = report.Escape(strings.Join(one.Approvers, ", "))
		}
		steps = append(steps, fmt.Sprintf("Approve the merge request: %d of %s.", max(1, one.Minimum), who))
		if one.ChangeAdvisoryBoard {
			board := "the label " + report.Escape(one.BoardLabel())
			if one.BoardLabel() == "" {
				board = "an approval of " + report.Escape(strings.Join(one.Board.Members, ", "))
			}
			steps = append(steps, "The change advisory board approves it by "+board+".")
		}
	}
	if config.Deployment.AutoDeploy {
		steps = append(steps, "After the merge, the nodes of "+name+" roll it out.")
	} else {
		steps = append(steps, "After the merge, start the rollout on the nodes of "+name+": `agent sync`.")
	}
	text := ""
	for i, step := range steps {
		text += fmt.Sprintf("%d. %s\n", i+1, step)
	}
	return text
}
