package fleet

import (
	"context"
	"errors"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/backoff"
)

// Source is GitLab, as far as Wait asks it.
type Source interface {
	statuses
	repository
	branches
}

// Wait waits for what the nodes of an environment do with a commit.
type Wait struct {
	GitLab      Source
	Environment Environment
	Commit      string   // its hash, a branch or a tag
	Branch      string   // that the nodes follow, where it is known: a node may take a newer commit of it
	Nodes       []string // none: those of config.yml at that commit

	Every time.Duration // between two reads of the statuses
	// Settle is how long the picture has to stay the same before Run ends because of nodes
	// that wait for a user. A node that comes after another one notices its success only at
	// its next look, and GitLab shows until then what it waited for first.
	Settle time.Duration

	// Same reports whether a node reads the same in an earlier commit; nil: that is not known.
	Same func(node, earlier, commit string) bool

	Changed func(Node)  // called with each node whose state or words changed
	Away    func(error) // called when GitLab does not answer, once for each outage; nil for back again
}

// Outcome is how a Wait ended.
type Outcome string

// The outcomes.
const (
	AllDone   Outcome = "succeeded" // unchanged nodes, too; for plans, those that the merge request does not concern
	SomeFail  Outcome = "failed"
	NeedsUser Outcome = "waiting for a user"
	TooLate   Outcome = "timeout"
)

// Result is the outcome with the last state of each node.
type Result struct {
	Outcome Outcome
	Nodes   []Node
	Away    error // why GitLab did not answer last; nil if it did
}

// In lists the nodes that are in one of some states.
func (r Result) In(states ...State) []Node {
	return slices.DeleteFunc(slices.Clone(r.Nodes), func(n Node) bool { return !slices.Contains(states, n.State) })
}

// patience bounds the wait after a failed request, unless GitLab asks for more: a user waits.
const patience = 4 // doublings of a second

// Run waits until all nodes have succeeded; or one has failed or waits for a user, and none
// is rolling out or has yet to report; or until the deadline of ctx. An error is one that no
// retry would change.
func (w *Wait) Run(ctx context.Context) (Result, error) {
	result := Result{Outcome: TooLate}
	var wait backoff.Wait
	watched := &watched{names: w.Nodes, passed: map[string]string{}, unchanged: map[string]string{}}
	last := time.Now()
	for {
		nodes, err := w.look(ctx, watched, time.Since(last) >= w.Settle)
		var refused *gitlab.Error
		switch {
		case ctx.Err() != nil:
			return w.end(ctx, result)
		case err == nil:
			if w.compare(result.Nodes, nodes) || result.Away != nil { // the agents did not reach GitLab either
				last = time.Now()
			}
			w.away(&result, nil)
			result.Nodes, wait = nodes, backoff.Wait{Until: time.Now().Add(w.Every)}
			if outcome := w.judge(nodes, time.Since(last) >= w.Settle); outcome != "" {
				result.Outcome = outcome
				return result, nil
			}
		case !errors.As(err, &refused) || refused.Kind != gitlab.KindRetry:
			return result, err
		default:
			w.away(&result, err)
			wait.Tries = min(wait.Tries, patience)
			wait = wait.After(refused.RetryAfter, nil)
		}
		select {
		case <-ctx.Done():
			return w.end(ctx, result)
		case <-time.After(time.Until(wait.Until)):
		}
	}
}

// end gives the result at the end of ctx. A failure is one also where others had no time to
// end.
func (w *Wait) end(ctx context.Context, result Result) (Result, error) {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return result, ctx.Err() // interrupted
	}
	if len(result.In(Failed)) > 0 {
		result.Outcome = SomeFail
	}
	return result, nil
}

// watched is what a Wait knows of what it waits for.
type watched struct {
	commit string
	names  []string
	passed map[string]string // the newer commit that a node took instead, by node
	looks  int

	unchanged map[string]string // the earlier commit with which a node has succeeded, and that is the same for it
	compared  bool              // with earlier commits
}

// look reads what the nodes do, and before that, once, which commit and which nodes are meant.
func (w *Wait) look(ctx context.Context, of *watched, settled bool) (nodes []Node, err error) {
	if of.commit == "" {
		if of.commit, err = w.GitLab.Commit(ctx, w.Commit); err != nil {
			return nil, err
		}
	}
	if len(of.names) == 0 {
		if of.names, err = w.Environment.Nodes(ctx, w.GitLab, of.commit); err != nil {
			return nil, err
		}
	}
	nodes, err = w.Environment.read(ctx, w.GitLab, of.commit, of.names)
	if err != nil {
		return nil, err
	}
	if of.looks++; w.Branch != "" && of.looks%rarely == 0 {
		if err := w.findPassed(ctx, of, nodes); err != nil {
			return nil, err
		}
	}
	if settled || len(of.passed) > 0 {
		if err := w.findUnchanged(ctx, of, nodes); err != nil {
			return nil, err
		}
	}
	for i := range nodes {
		switch node := &nodes[i]; {
		case node.State != Silent:
		case of.unchanged[node.Name] != "":
			node.State, node.Text = Done, "its files are those of "+record.Short(of.unchanged[node.Name])+", with which it succeeded"
		case of.passed[node.Name] != "":
			node.State, node.Text = Failed, "took the newer commit "+record.Short(of.passed[node.Name])+" instead"
		}
	}
	return nodes, nil
}

// findUnchanged finds the nodes without a status whose files are those of an earlier commit, with
// which they have succeeded: an agent with `unchanged_statuses: false` posts no status then.
func (w *Wait) findUnchanged(ctx context.Context, of *watched, nodes []Node) error {
	silent := without(nodes, of.unchanged)
	if w.Same == nil || w.Environment.Plans || of.compared || len(silent) == 0 {
		return nil
	}
	commits, err := w.GitLab.Commits(ctx, of.commit, depth)
	if err != nil {
		return err
	}
	for _, earlier := range commits[min(len(commits), 1):] {
		there, err := w.Environment.read(ctx, w.GitLab, earlier, silent)
		if err != nil {
			return err
		}
		silent = nil
		for _, node := range there {
			switch {
			case node.State == Silent:
				silent = append(silent, node.Name)
			case node.State == Done && w.Same(node.Name, earlier, of.commit):
				of.unchanged[node.Name] = earlier
			}
		}
		if len(silent) == 0 {
			break
		}
	}
	of.compared = true
	return nil
}

// without lists the nodes without a status that are not known.
func without(nodes []Node, known ...map[string]string) (names []string) {
	for _, node := range nodes {
		if node.State == Silent && !slices.ContainsFunc(known, func(of map[string]string) bool { return of[node.Name] != "" }) {
			names = append(names, node.Name)
		}
	}
	return names
}

const (
	rarely    = 6 // looks between two searches for newer commits
	mostNewer = 5 // commits whose statuses are read in a search
)

// findPassed finds the nodes without a status that have one on a newer commit of the branch: a
// node takes the newest, and says nothing of those in between.
func (w *Wait) findPassed(ctx context.Context, of *watched, nodes []Node) error {
	silent := without(nodes, of.passed, of.unchanged)
	if len(silent) == 0 {
		return nil
	}
	commits, err := w.GitLab.Commits(ctx, w.Branch, depth)
	if err != nil {
		return err
	}
	for _, newer := range commits[:min(max(slices.Index(commits, of.commit), 0), mostNewer)] {
		there, err := w.Environment.read(ctx, w.GitLab, newer, silent)
		if err != nil {
			return err
		}
		for _, node := range there {
			if node.State != Silent && of.passed[node.Name] == "" {
				of.passed[node.Name] = newer
			}
		}
	}
	return nil
}

// compare shows the nodes that changed, and reports whether one did.
func (w *Wait) compare(before, now []Node) (changed bool) {
	for i, node := range now {
		if len(before) == 0 || before[i].Line() != node.Line() {
			w.Changed(node)
			changed = true
		}
	}
	return changed
}

// away shows that GitLab does not answer, or does so again.
func (w *Wait) away(result *Result, err error) {
	if (err == nil) != (result.Away == nil) {
		w.Away(err)
	}
	result.Away = err
}

// judge gives the outcome; "" while there is none. Nodes that a merge request does not concern
// make no plan: the others are enough once the picture has settled.
func (w *Wait) judge(nodes []Node, settled bool) Outcome {
	has := func(states ...State) bool {
		return slices.ContainsFunc(nodes, func(n Node) bool { return slices.Contains(states, n.State) })
	}
	switch {
	case w.Environment.Plans && settled && has(Planned) && !has(Failed, Rolling), w.Environment.Plans && settled && has(Failed) && !has(Rolling):
		if has(Failed) {
			return SomeFail
		}
		return AllDone
	case !has(Failed, Held, Silent, Rolling, Waiting):
		return AllDone
	case has(Silent, Rolling):
		return ""
	case has(Failed):
		return SomeFail
	case has(Held) && settled:
		return NeedsUser
	}
	return ""
}
