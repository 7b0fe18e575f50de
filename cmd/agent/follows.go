package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/selection"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/internal/fault"
	gitsync "coin.internal/coin-agent/sync"
)

// follows gives the revision that the node follows now, as its agent selects it: that of the stack
// that the user names, else of the first one that no user led to another tag. It prints what a user has
// to know about other tags, and which stacks follow another one.
func follows(ctx context.Context, a *app, source *gitsync.Repository, stack string) (gitsync.Revision, error) {
	remote := selection.NewRemote(source, a.settings.Rule())
	refs, err := remote.List(ctx)
	if err != nil || a.settings.TagPattern == "" {
		return refs.Branch, err
	}
	all := onRecord(ctx, a)
	own := max(0, slices.IndexFunc(all, func(one trail) bool {
		return one.stack == stack || stack == "" && !one.record.Led
	}))
	revision, told, err := remote.Choose(ctx, refs, all[own].of(all))
	if err != nil {
		return revision, err
	}
	for _, text := range told {
		printFault(a.stderr, "warning", errors.New(text))
	}
	for _, one := range all {
		if stack != "" || one.stack == all[own].stack {
			continue
		}
		other, _, err := remote.Choose(ctx, refs, one.of(all))
		if err == nil && other.Commit != revision.Commit {
			err = fmt.Errorf("the stack %s follows %s, and the files of %s are read", one.stack, cmp.Or(other.Ref, other.Commit), cmp.Or(revision.Ref, revision.Commit))
		}
		if err != nil {
			printFault(a.stderr, "warning", fault.New(fault.Place{}, "`--stack "+one.stack+"` reads its files", "%w", err))
		}
	}
	return revision, nil
}

// tagsOf gives the pattern of the tags that the settings follow; nil for none.
func tagsOf(s *settings.Settings) (*regexp.Regexp, error) {
	if s.TagPattern == "" {
		return nil, nil
	}
	pattern, err := regexp.Compile(s.TagPattern)
	if err != nil {
		return nil, fault.New(fault.Place{}, "correct the regular expression", "tag_pattern: %w", err)
	}
	return pattern, nil
}

// trail is what is on record of a stack, by its name; "" for the only one.
type trail struct {
	stack  string
	record selection.Record
}

// of gives what is on record of the stack and of the others.
func (t trail) of(all []trail) selection.Record {
	on := t.record
	for _, one := range all {
		if one.stack != t.stack {
			on.Others = append(on.Others, one.record)
		}
	}
	return on
}

// onRecord gives what the agent, or its state file, has on record of the node's stacks, in their
// order; one without a record if there is neither, or they are of another node.
func onRecord(ctx context.Context, a *app) []trail {
	status, err := readStatus(ctx, a)
	if err != nil || status.Environment != a.settings.Environment || status.Node != a.settings.Node {
		return []trail{{}}
	}
	defer func(named string) { a.stack = named }(a.stack)
	var all []trail
	for _, one := range status.Stacks {
		if one.Left != nil {
			continue
		}
		a.stack = one.Stack
		status, err := readStatus(ctx, a)
		if err != nil {
			printFault(a.stderr, "warning", fmt.Errorf("the tag of the stack %s is not known: %w", one.Stack, err))
			continue
		}
		all = append(all, trail{one.Stack, recordOf(status)})
	}
	if len(all) == 0 {
		all = []trail{{"", recordOf(status)}}
	}
	return all
}

// recordOf gives what a status has on record of its stack.
func recordOf(status report.Status) selection.Record {
	var deployed *record.GoodState
	if status.Applied != nil {
		deployed = &record.GoodState{Commit: status.Applied.Commit}
	}
	return selection.NewRecord(status.Sync, deployed)
}
