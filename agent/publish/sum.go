package publish

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// Sum tells GitLab in one status how all stacks of a node do with a commit. It is that of the
// worst stack, in their order.
type Sum struct {
	Name     string // of the status
	Statuses statuses
	Stacks   func() []string // in their order

	mu    sync.Mutex
	known map[string][]gitlab.Report // by stack: its last status of a commit, the newest commit first
}

// Remembered is of how many commits a stack's status is remembered.
const Remembered = 8

// Enough gives when the syncs of a stack suffice for Recall, the newest first.
func Enough() func(*record.Sync) bool {
	told := 0
	return func(one *record.Sync) bool {
		if !one.Quiet() {
			told++
		}
		return told > Remembered
	}
}

// Recall remembers what a stack told before a restart.
func (s *Sum) Recall(of *Publisher, syncs []record.Sync) {
	seen := map[string]bool{}
	for i := range syncs {
		if one := &syncs[i]; !seen[one.Commit] && !one.Quiet() {
			seen[one.Commit] = true
			defer s.note(of.Stack, of.report(one, stateOf(one))) // the newest one last
		}
	}
}

// Tell takes a stack's status, and tells GitLab the node's.
func (s *Sum) Tell(stack string, told gitlab.Report) error {
	s.note(stack, told)
	sum, has := s.of(told.Commit)
	if !has {
		return nil
	}
	sum.Ref, sum.Commit, sum.Name = told.Ref, told.Commit, s.Name
	sum.Target = cmp.Or(sum.Target, told.Target)
	last, err := s.Statuses.Last(sum)
	if err != nil {
		return fmt.Errorf("read the node's last report: %w", err)
	}
	switch {
	case sum.State == gitlab.Pending && last == gitlab.Running:
		return nil // GitLab does not take it
	case sum.State == gitlab.Running && sum.Description == "" && last == "":
		return nil // then a later stack can still wait at a gate
	case sum.State == gitlab.Running && last != gitlab.Pending && !s.knows(told.Commit):
		return nil // an older commit, of which not all stacks are remembered
	}
	if sum.Description == "" {
		sum.Description = "rolling out"
	}
	if err := s.Statuses.Enqueue(sum); err != nil {
		return fmt.Errorf("queue report: %w", err)
	}
	return nil
}

// share takes the status of a stack that a commit does not concern. The node has a status of the
// commit only if another of its stacks has one.
func (s *Sum) share(stack string, told gitlab.Report) error {
	for _, other := range s.Stacks() {
		last, err := s.Statuses.Last(gitlab.Report{Commit: told.Commit, Ref: told.Ref, Name: s.Name + "/" + other})
		if err != nil {
			return fmt.Errorf("read the last report of %s: %w", other, err)
		}
		if last != "" {
			return s.Tell(stack, told)
		}
	}
	s.note(stack, told)
	return nil
}

// note remembers a stack's status.
func (s *Sum) note(stack string, told gitlab.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[string][]gitlab.Report{}
	}
	others := slices.DeleteFunc(slices.Clone(s.known[stack]), func(r gitlab.Report) bool { return r.Commit == told.Commit })
	s.known[stack] = append([]gitlab.Report{told}, others[:min(len(others), Remembered-1)]...)
}

// concerned lists the stacks that a status of a commit is about: those of the list, and those that took the
// commit and have left the list since.
func (s *Sum) concerned(commit string) []string {
	order := s.Stacks()
	for _, stack := range slices.Sorted(maps.Keys(s.known)) {
		if !slices.Contains(order, stack) && s.remembers(stack, commit) {
			order = append(order, stack)
		}
	}
	return order
}

// remembers reports whether a stack's status of a commit is known. The caller has locked the Sum.
func (s *Sum) remembers(stack, commit string) bool {
	return slices.ContainsFunc(s.known[stack], func(one gitlab.Report) bool { return one.Commit == commit })
}

// knows reports whether the status of a commit is known of each stack of the list.
func (s *Sum) knows(commit string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(s.Stacks(), func(stack string) bool { return !s.remembers(stack, commit) })
}

// of gives the node's status of a commit. While stacks are rolled out that others follow, it has
// no description; a stack that waits at a gate of its own decides then.
func (s *Sum) of(commit string) (sum gitlab.Report, has bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	order := s.concerned(commit)
	told := make([]gitlab.Report, len(order))
	for i, stack := range order {
		for _, one := range s.known[stack] {
			if one.Commit == commit {
				told[i] = one
			}
		}
	}
	first := func(is func(gitlab.Report) bool) (gitlab.Report, bool) {
		i := slices.IndexFunc(told, is)
		if i < 0 {
			return gitlab.Report{}, false
		}
		one := told[i]
		one.Description = named(order[i], one.Description)
		return one, true
	}
	state := func(state gitlab.State) func(gitlab.Report) bool {
		return func(r gitlab.Report) bool { return r.State == state }
	}
	for _, is := range []func(gitlab.Report) bool{state(gitlab.Failed), state(gitlab.Canceled), waitsAtGate} {
		if one, decides := first(is); decides {
			return one, true
		}
	}
	left := 0
	for _, one := range told {
		if one.State == "" || one.State == gitlab.Pending || one.State == gitlab.Running {
			left++
		}
	}
	if one, runs := first(state(gitlab.Running)); runs && left == 1 {
		return one, true
	}
	if left > 0 {
		return gitlab.Report{State: gitlab.Running}, true
	}
	if one, decides := first(state(gitlab.Skipped)); decides {
		return one, true
	}
	return succeeded(order, told), len(told) > 0
}

// waitsAtGate reports whether a stack waits for something other than the stacks before it.
func waitsAtGate(told gitlab.Report) bool {
	wait, waits := report.ParseWait(told.Description)
	return told.State == gitlab.Pending && waits && slices.ContainsFunc(wait.Gates, func(name record.GateName) bool { return name != record.GateStack })
}

// named puts the stack's name into the description of a status: behind the gates of one that
// waits, which are read by others.
func named(stack, description string) string {
	head := ""
	if wait, waits := report.ParseWait(description); waits {
		head, description = strings.TrimSuffix(description, wait.Text), wait.Text
	}
	return clip(head + stack + ": " + description)
}

// succeeded gives the status of a node whose stacks have all succeeded.
func succeeded(order []string, told []gitlab.Report) gitlab.Report {
	sum := gitlab.Report{State: gitlab.Success}
	var texts []string
	for i, one := range told {
		texts = append(texts, order[i]+": "+one.Description)
		sum.Target = cmp.Or(one.Target, sum.Target)
	}
	sum.Description = clip(strings.Join(texts, "; "))
	return sum
}

// clip cuts a description to what GitLab takes.
func clip(text string) string {
	runes := []rune(text)
	if len(runes) <= report.MaxDescription {
		return text
	}
	return strings.TrimRight(string(runes[:report.MaxDescription-1]), " ") + "…"
}
