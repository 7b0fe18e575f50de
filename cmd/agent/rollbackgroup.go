package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/fleet"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
	"coin.internal/coin-agent/release"
)

// groupFlags are the flags of a rollback of all nodes.
type groupFlags struct {
	group, partial bool
	apis           []string
}

func (f *groupFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.group, "group", false, "roll back all nodes of the environment, through their agents' APIs; needs --token-file with a token of the scope operate")
	flags.StringArrayVar(&f.apis, "api", nil, "with --group, the address of a node's agent: node=URL (default: nodes[].url of config.yml); may be given several times")
	flags.BoolVar(&f.partial, "partial", false, "with --group, roll back the other nodes if some cannot be reached or refuse")
}

// check refuses flags that do not fit together.
func (f *groupFlags) check(a *app, of request.Rollback) error {
	switch {
	case !f.group && (f.partial || len(f.apis) > 0):
		return usageError{errors.New("--api and --partial need --group")}
	case !f.group:
		return nil
	case of.To != 0:
		return usageError{errors.New("--to names a sync of one node, and cannot be used with --group")}
	case a.host.host != "":
		return usageError{errors.New("--host names one node, and cannot be used with --group: use --api")}
	case a.host.token == "":
		return usageError{fault.New(fault.Place{}, "name a file with a token of the scope operate, which all nodes accept", "--group needs --token-file")}
	case a.settings.Environment == "" && len(f.apis) == 0:
		return usageError{errors.New("name the environment with --environment")}
	}
	return nil
}

// remoteAgent is the agent of another node, and its stack that the user names.
type remoteAgent struct {
	client *control.Client
	stack  string
}

// Status gives nothing of a node with several stacks where the user names none: the agent refuses
// to plan its rollback.
func (r remoteAgent) Status(ctx context.Context) (report.Status, error) {
	status, err := r.client.Status(ctx)
	if r.stack == "" && len(status.Stacks) > 0 {
		return report.Status{}, err
	}
	return status, err
}

func (r remoteAgent) PlanRollback(ctx context.Context, asked request.Rollback) (*request.RollbackPlan, error) {
	return r.client.PlanRollback(ctx, asked)
}

func (r remoteAgent) Rollback(ctx context.Context, asked request.Rollback) (*record.Sync, error) {
	return r.client.Rollback(ctx, asked, func(control.Event) {})
}

// addressed is a node with the address of its agent.
type addressed struct {
	node, url string
	named     bool // the user named the address, and not config.yml
}

// addressesOf reads the addresses of agents that the user names by --api, each node once.
func addressesOf(apis []string) (all []addressed, err error) {
	for _, one := range apis {
		node, url, found := strings.Cut(one, "=")
		switch {
		case !found || node == "":
			return nil, usageError{fault.New(fault.Place{}, "write it as --api node3=https://node3.example.com:9181", "--api %q has no node", one)}
		case slices.ContainsFunc(all, func(before addressed) bool { return before.node == node }):
			return nil, usageError{fault.New(fault.Place{}, "name each node once", "--api names the node %s twice", node)}
		}
		all = append(all, addressed{node, url, true})
	}
	return all, nil
}

// groupNodes lists the nodes: those of config.yml in GitLab, with the addresses that the user
// names. Without GitLab they are those that the user names.
func groupNodes(ctx context.Context, a *app, apis []string) ([]addressed, error) {
	nodes, err := addressesOf(apis)
	if err != nil {
		return nil, err
	}
	named := map[string]string{}
	for _, one := range nodes {
		named[one.node] = one.url
	}
	if a.settings.GitLabURL == "" || a.settings.Environment == "" {
		return nodes, nil
	}
	list, err := fleetList(ctx, a, nil)
	var members []fleet.Member
	if err == nil {
		list.Dial = nil
		members, err = list.Read(ctx)
	}
	if err != nil && len(nodes) > 0 {
		printFault(a.stderr, "warning", fmt.Errorf("only the nodes of --api are rolled back: the others are not known: %w", err))
		return nodes, nil
	}
	if err != nil {
		return nil, err
	}
	return inEnvironment(members, named)
}

// inEnvironment gives the nodes of config.yml, with the addresses that the user named.
func inEnvironment(members []fleet.Member, named map[string]string) (nodes []addressed, err error) {
	for _, member := range members {
		url := named[member.Name]
		nodes = append(nodes, addressed{member.Name, cmp.Or(url, member.URL), url != ""})
		delete(named, member.Name)
	}
	for _, node := range slices.Sorted(maps.Keys(named)) {
		return nil, usageError{fault.New(fault.Place{}, "name a node of config.yml", "--api: the environment has no node %q", node)}
	}
	slices.SortFunc(nodes, func(a, b addressed) int { return cmp.Compare(a.node, b.node) })
	return nodes, nil
}

// members gives the nodes with clients for their agents. An address of config.yml gets the token
// only if the user is asked: a commit could name another server.
func members(nodes []addressed, with control.Remote, stack string, asking bool) []release.Member {
	var all []release.Member
	for _, node := range nodes {
		member := release.Member{Node: node.node}
		switch {
		case node.url == "":
			member.Err = errors.New("config.yml has no url for it")
		case !node.named && !asking:
			member.Err = errors.New("only config.yml names its address, " + node.url + ", and the command does not ask")
		default:
			with.URL = node.url
			client, err := control.NewRemote(with)
			if member.Err = err; err == nil {
				member.Agent = remoteAgent{client.Of(record.StackKey(stack)), stack}
			}
		}
		all = append(all, member)
	}
	return all
}

// rollbackGroup shows the plan of each node, asks for confirmation, and rolls back one node after
// the other.
func rollbackGroup(ctx context.Context, a *app, f rollbackFlags, stdin io.Reader) error {
	asking := !f.yes && *f.output != "json" && isTerminal(stdin)
	if !asking && !f.yes && !f.dryRun {
		return usageError{fault.New(fault.Place{}, "add --yes, or --dry-run to see the plans", "there is no terminal to ask on")}
	}
	nodes, err := groupNodes(ctx, a, f.all.apis)
	if err != nil {
		return err
	}
	if len(nodes) == 0 {
		return fault.New(fault.Place{}, "name the nodes with --api node=URL", "no node is known")
	}
	if asking && !sends(ctx, a, nodes, stdin) {
		return errors.New("nothing was changed")
	}
	group := release.Group{
		Asked: f.request, Partial: f.all.partial,
		Members: members(nodes, control.Remote{TokenFile: a.host.token, CAFile: a.settings.CAFile}, a.stack, asking),
	}
	plans, err := group.Plan(ctx)
	if err != nil {
		return err
	}
	if *f.output == "text" || f.dryRun {
		if err := printScreen(a.stdout, *f.output, groupScreen, plans); err != nil || f.dryRun {
			return differentIf(release.Rolls(plans), err)
		}
	}
	if asking && release.Rolls(plans) && !confirmed(ctx, stdin, a.stdout, "roll back?") {
		return errors.New("nothing was changed")
	}
	all, left := []release.Done{}, false
	err = group.Run(ctx, plans, func(done release.Done) {
		all, left = append(all, done), left || done.Error != ""
		if *f.output == "text" {
			newPrinter(a.stdout).line("%s: %s", done.Node, joined("; ", cmp.Or(done.Text, string(done.State)), done.Error))
		}
	})
	if *f.output == "json" {
		err = errors.Join(printJSON(a.stdout, all), err)
	}
	return differentIf(left, err)
}

// sends shows the addresses, and asks whether they may get the token.
func sends(ctx context.Context, a *app, nodes []addressed, stdin io.Reader) bool {
	for _, node := range nodes {
		newPrinter(a.stdout).line("%s %s", node.node, orDash(node.url))
	}
	return confirmed(ctx, stdin, a.stdout, "send the token to these addresses, and ask for the plans?")
}

// groupScreen shows what a rollback would do on each node.
func groupScreen(s *page, plans []release.Planned) {
	s.table("NODE\tBACK TO\tSYNC\tVERIFIED\tCHANGES", func(row func(...any)) {
		for _, one := range plans {
			if one.Plan == nil {
				row(one.Node, "-", "-", "-", tidy(cmp.Or(one.Error, one.Stays)))
				continue
			}
			row(one.Node, releaseName(one.Plan.Release, one.Plan.Commit), fmt.Sprintf("#%d", one.Plan.To), local(one.Plan.At), plural.Count(len(one.Plan.Plan.Steps), "change"))
		}
	})
}
