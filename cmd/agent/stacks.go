package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/agent/store"
)

// ofOneStack are the commands that take --stack. Those of ofAllStacks work for all stacks of the
// node without it.
var (
	ofOneStack  = []string{"adopt", "approve", "logs", "retry", "rollback", "secrets gc", "secrets list"}
	ofAllStacks = []string{"history", "pause", "resume", "status", "sync"}
)

// addStack adds --stack to the commands that are about a stack of the node.
func addStack(a *app, root *cobra.Command) {
	for usage, names := range map[string][]string{
		"the stack of a node with several; required there": ofOneStack,
		"only this stack of a node with several":           ofAllStacks,
	} {
		for _, name := range names {
			if cmd, _, err := root.Find(strings.Fields(name)); err == nil {
				cmd.Flags().StringVar(&a.stack, "stack", "", usage)
			}
		}
	}
}

// eachStack does something for the stack that the user names, or for each that the node keeps in
// sync, in their order. It ends with the first error, except where a stack waits.
func eachStack(ctx context.Context, a *app, do func(client *control.Client, name string) error) error {
	client := a.client()
	status, err := client.Status(ctx)
	if a.stack != "" || err != nil || len(status.Stacks) == 0 {
		return do(client, a.stack)
	}
	var waits error
	for _, one := range status.Stacks {
		if one.Left != nil {
			continue
		}
		switch err := do(client.Of(record.StackKey(one.Stack)), one.Stack); {
		case errors.Is(err, errDifferent):
			waits = err
		case err != nil:
			return err
		}
	}
	return waits
}

// of gives what a line about a stack begins with; nothing for the only one.
func of(stack string) string {
	if stack == "" {
		return ""
	}
	return stack + ": "
}

// storedKey gives the key in the state file of the stack that the user names, or of the only one.
func storedKey(a *app, opened *store.Store) (record.StackKey, error) {
	list, err := opened.Lists().StackList()
	if err != nil {
		return "", err
	}
	var names []string
	for _, one := range list.Stacks {
		if names = append(names, string(one.Key)); string(one.Key) == a.stack || a.stack == "" && len(list.Stacks) == 1 {
			return one.Key, nil
		}
	}
	if a.stack == "" {
		return "", request.Refuse(request.Invalid, "name one of them with --stack: "+strings.Join(names, ", "), "this node has several stacks, and none is named")
	}
	return "", request.Refuse(request.NotFound, "the node has: "+strings.Join(names, ", "), "this node has no stack %q", a.stack)
}

// storedStatus gives what the state file has of the stacks of a node whose daemon does not run.
func storedStatus(a *app, opened *store.Store) (report.Status, error) {
	list, err := opened.Lists().StackList()
	if err != nil {
		return report.Status{}, err
	}
	var all []report.Status
	var lines []report.StackLine
	asked := -1
	for i, one := range list.Stacks {
		status, err := report.StoredStatus(nodeOf(&a.settings), opened.Stack(one.Key), time.Now())
		if err != nil {
			return report.Status{}, err
		}
		if string(one.Key) == a.stack {
			asked = i
		}
		all, lines = append(all, status), append(lines, report.NewStackLine(string(one.Key), &status))
	}
	if len(all) == 1 {
		return all[0], nil
	}
	if a.stack != "" && asked < 0 {
		return report.Status{}, request.Refuse(request.NotFound, "`agent status` lists them", "this node has no stack %q", a.stack)
	}
	if asked < 0 {
		asked = report.Worst(all)
	}
	all[asked].Stacks = lines
	return all[asked], nil
}
