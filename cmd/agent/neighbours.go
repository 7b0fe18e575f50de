package main

import (
	"cmp"
	"context"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/fleet"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/settings"
)

// neighbours list the nodes of the environment for the page of one of them.
type neighbours struct {
	app   *app
	parts *parts
}

// Read gives the nodes by what their agents say, as far as the settings name their addresses, else
// by their statuses in GitLab.
func (n *neighbours) Read(ctx context.Context) ([]fleet.Member, error) {
	environment, err := environmentOf(ctx, n.app, n.parts.gitlab, n.app.settings.Environment)
	if err != nil {
		return nil, err
	}
	settings := &n.app.settings
	list := fleet.List{GitLab: n.parts.gitlab, Environment: environment, Branch: cmp.Or(settings.Branch, "master"), Agents: neighbourAgents(settings)}
	list.Agents[settings.Node] = ownStatus{n.parts}
	if list.Tags, err = tagsOf(settings); err != nil {
		return nil, err
	}
	return list.Read(ctx)
}

// mostStatus bounds the status of another node, so that many at the same time fit into the memory.
const mostStatus = 4 << 20

// neighbourAgents gives the agents at the addresses of the settings. The addresses of config.yml,
// which a commit names, are not asked: they would get the token.
func neighbourAgents(settings *settings.Settings) map[string]fleet.Agent {
	agents := map[string]fleet.Agent{}
	addresses, _ := settings.FleetAddresses() // they were validated
	for node, address := range addresses {
		agent, err := control.NewRemote(control.Remote{URL: address, TokenFile: settings.FleetTokenFile, CAFile: settings.CAFile, Most: mostStatus})
		if agents[node] = agent; err != nil {
			agents[node] = unasked{err}
		}
	}
	return agents
}

// unasked is an agent that cannot be asked.
type unasked struct{ why error }

func (u unasked) Status(context.Context) (report.Status, error) { return report.Status{}, u.why }

// ownStatus is the status of this node.
type ownStatus struct{ parts *parts }

func (o ownStatus) Status(context.Context) (report.Status, error) { return o.parts.agent.Status("") }
