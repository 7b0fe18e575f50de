// Package stackdeploy deploys a stack that a user has rendered and that no agent owns, as
// deployment.sh did: from an engine and a compose.Stack it makes a plan, and then the result
// of applying it. It refuses a stack that an agent keeps in sync, unless the user takes it
// over. Its waits have limits, and it keeps nothing on disk.
package stackdeploy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
)

// Options are the options of New.
type Options struct {
	Engine   *deploy.Engine
	Stack    *compose.Stack // with its secret values
	TakeOver bool           // an agent may own the stack

	Timeout  time.Duration             // for each service to converge; 0: deploy.DefaultTimeout
	Progress func(deploy.Event)        // called for each write
	Services func(Wait, deploy.Result) // called when the state of the services changes
}

// Wait is a wait for services.
type Wait struct {
	Started time.Time
	Until   time.Time // when it ends at the latest
}

// Deployment is a stack with the plan to deploy it.
type Deployment struct {
	Plan   deploy.Plan
	Agents []string // that own the stack, and lose it

	options Options
	stack   *compose.Stack // with the digests of its images
	live    *deploy.Live
	done    map[string]bool // the services that were written
}

// New plans a deployment. Nothing is written.
func New(ctx context.Context, options Options) (*Deployment, error) {
	d, err := plan(ctx, options)
	return d, inWords(err, fault.CodePlan)
}

func plan(ctx context.Context, options Options) (*Deployment, error) {
	if options.Timeout <= 0 {
		options.Timeout = deploy.DefaultTimeout
	}
	engine := options.Engine
	if _, err := engine.Ready(ctx); err != nil {
		return nil, err
	}
	stack := *options.Stack
	stack.TakesOver = true // what may not be taken over is refused below
	live, err := engine.Observe(ctx, &stack)
	if err != nil {
		return nil, err
	}
	d := &Deployment{options: options, live: live, done: map[string]bool{}, Agents: deploy.AgentsOf(live, stack.Name)}
	if len(d.Agents) > 0 && !options.TakeOver {
		return nil, fault.New(fault.Place{}, "change it in the agent's repository; in an emergency, `agent pause` on the node and deploy with --take-over",
			"the stack %s is kept in sync with git by the agent of %s", stack.Name, strings.Join(d.Agents, ", "))
	}
	resolved, err := engine.Resolve(ctx, live.Services, &stack)
	if err != nil {
		return nil, err
	}
	if d.stack, err = engine.Rerun(ctx, live.Services, resolved.Stack); err != nil {
		return nil, err
	}
	if d.Plan, err = deploy.Diff(live, d.stack); err != nil {
		return nil, err
	}
	missing, err := engine.RefuseMissing(ctx, d.Plan, resolved, false)
	if err != nil {
		return nil, err
	}
	d.Plan.Warnings = slices.Concat(d.Plan.Warnings, resolved.Warnings, missing)
	for i, warning := range d.Plan.Warnings {
		d.Plan.Warnings[i] = words.Replace(warning)
	}
	return d, nil
}

// Run applies the plan, and waits until every service runs what it declares and every
// one-shot service has succeeded. Before its first write it refuses a secret whose content
// differs from the one that Swarm has under the same name.
func (d *Deployment) Run(ctx context.Context) error {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails; no fingerprint is kept
	if _, _, err := d.options.Engine.Mismatched(ctx, d.live, d.stack, nil, key); err != nil {
		return inWords(err, fault.CodePlan)
	}
	err := d.options.Engine.Apply(ctx, d.Plan, d.stack, deploy.ApplyOptions{
		Progress: d.note,
		Wait: func(ctx context.Context, wave deploy.Wave) error {
			result, err := d.verify(ctx, wave.Stack)
			if err != nil {
				return err
			}
			return wave.Err(result)
		},
	})
	if err != nil {
		return d.ended(ctx, inWords(err, fault.CodeApply))
	}
	result, err := d.verify(ctx, d.stack)
	if err == nil {
		err = result.Err()
	}
	return d.ended(ctx, inWords(err, fault.CodeVerify))
}

func (d *Deployment) verify(ctx context.Context, stack *compose.Stack) (deploy.Result, error) {
	started := time.Now()
	longest := d.options.Timeout
	for _, spec := range stack.Services {
		longest = max(longest, compose.Timeout(spec.Labels))
	}
	wait := Wait{Started: started, Until: started.Add(longest)}
	result, err := d.options.Engine.Verify(ctx, stack, deploy.VerifyOptions{
		Timeout: d.options.Timeout, Changed: d.Plan.Changed(),
		Progress: func(result deploy.Result) {
			if d.options.Services != nil {
				d.options.Services(wait, result)
			}
		},
	})
	if d.options.Services != nil && err == nil {
		d.options.Services(wait, result) // with the last lines of what failed
	}
	return result, err
}

func (d *Deployment) note(event deploy.Event) error {
	if event.Step.Kind == deploy.Service && event.Done && event.Err == nil {
		d.done[event.Step.Name] = event.Step.Action != deploy.ScaleDown
	}
	if d.options.Progress != nil {
		d.options.Progress(event)
	}
	return nil
}

// ErrInterrupted is the cause of the error about a deployment that the user ended.
var ErrInterrupted = errors.New("interrupted")

// ended says what an interrupted deployment leaves behind.
func (d *Deployment) ended(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	var left, down []string
	for _, name := range d.Plan.Changed() {
		if !d.done[name] {
			left = append(left, name)
		}
	}
	for name := range d.Plan.ScaledDown() {
		if written, begun := d.done[name]; begun && !written {
			down = append(down, name)
		}
	}
	slices.Sort(down)
	text := "the wait for the services was interrupted; Swarm goes on"
	if len(left) > 0 {
		text = fmt.Sprintf("interrupted with %s not written: %s", plural.Count(len(left), "service"), strings.Join(left, ", "))
	}
	if len(down) > 0 {
		text += fmt.Sprintf("; %s scaled down to 0: %s", plural.Count(len(down), "cron service"), strings.Join(down, ", "))
	}
	return fault.WithCode(&fault.Error{
		Message: text, Hint: "run the same command again: it writes what is missing, and gives cron services their replicas", Err: ErrInterrupted,
	}, fault.CodeApply)
}
