package main

import (
	"cmp"
	"context"
	"fmt"
	"regexp"

	"coin.internal/coin-agent/agent/fleet"
	"coin.internal/coin-agent/agent/report"
)

// neighbours list the nodes of the environment for the page of one of them.
type neighbours struct {
	app   *app
	parts *parts
}

// Read gives the nodes by their statuses in GitLab, and this one by what it knows itself.
func (n *neighbours) Read(ctx context.Context) ([]fleet.Member, error) {
	environment, err := n.app.environment(ctx, n.parts.gitlab)
	if err != nil {
		return nil, err
	}
	settings := &n.app.settings
	list := fleet.List{
		GitLab: n.parts.gitlab, Environment: environment, Branch: cmp.Or(settings.Branch, "master"),
		Agents: map[string]fleet.Agent{settings.Node: ownStatus{n.parts}},
	}
	if settings.TagPattern != "" {
		if list.Tags, err = regexp.Compile(settings.TagPattern); err != nil {
			return nil, fmt.Errorf("tag_pattern: %w", err)
		}
	}
	return list.Read(ctx)
}

// ownStatus is the status of this node.
type ownStatus struct{ parts *parts }

func (o ownStatus) Status(context.Context) (report.Status, error) { return o.parts.agent.Status("") }
