// Package readiness finds what a release needs on a node before it is rolled out: its
// images in their registries, the verdict of Harbor's scanner, room on the disk, the
// database. It takes a rendered stack and gives a Verdict with all reasons at once, and
// changes nothing.
package readiness

import (
	"context"
	"fmt"

	"coin.internal/coin-agent/agent/migrations"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// Engine is what the probes ask the engine for.
type Engine interface {
	Ready(ctx context.Context) (deploy.Info, error)
	Pushed(ctx context.Context, images []string) ([]deploy.Pushed, error)
	Login(ctx context.Context, host string) (user string, password secrets.Value, err error)
}

// Verdict is what the probes found about a release.
type Verdict struct {
	Passed    []string
	Warnings  []string
	Refusals  []error // what is wrong with the release
	Transient []error // transient failures that stop this node for now
}

// Pass adds a result that is good.
func (v *Verdict) Pass(format string, args ...any) {
	v.Passed = append(v.Passed, fmt.Sprintf(format, args...))
}

// Warn adds a warning, which does not stop a rollout.
func (v *Verdict) Warn(err error) {
	text := err.Error()
	if hint := fault.Hint(err); hint != "" {
		text += "; " + hint
	}
	v.Warnings = append(v.Warnings, text)
}

// Judge makes all checks that config.yml's deployment.gates name, and gives all reasons
// at once. It also gives the engine's error, which is not part of the verdict.
func (p *Probes) Judge(ctx context.Context, asked manifests.Gates) (*Verdict, error) {
	v := &Verdict{}
	v.judgeTag(p.Node, asked.Tag.Pattern, p.Stack.Release)
	if asked.Images {
		p.Pushed(ctx, v)
	}
	if asked.Vulnerabilities.Asked {
		p.Vulnerabilities(ctx, v, asked.Vulnerabilities)
	}
	ready, err := p.Ready(ctx)
	p.Disk(v, asked.Disk, ready)
	if asked.Database {
		p.Database(ctx, v)
	}
	return v, err
}

// judgeTag checks the release's TAG against the pattern of config.yml.
func (v *Verdict) judgeTag(node *manifests.Node, pattern, tag string) {
	if wrong := node.CheckTag(tag); wrong != nil {
		v.Refusals = append(v.Refusals, wrong)
	} else if pattern != "" {
		v.Pass("TAG is as it should be")
	}
}

// KnownDatabases lists the databases that the agent has a login for, that of the
// migration check first.
func KnownDatabases(m *migrations.Check, list []checks.Check) []checks.Database {
	var known []checks.Database
	if m != nil {
		known = append(known, m.Table.Database)
	}
	for _, check := range list {
		if check.SQL != nil {
			known = append(known, check.SQL.Database)
		}
	}
	return known
}
