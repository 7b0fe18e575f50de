package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// The steps of a round, in their order.
var steps = []string{"first deployment", "all services change", "one service changes", "nothing changes"}

// bench runs the tools on a load, in turn.
type bench struct {
	world   *world
	tools   []tool
	load    load
	rounds  int
	release int // the last one; each change is a new one
	out     io.Writer
}

// run measures all rounds of a load. The order of the tools turns with each round.
func (b *bench) run(ctx context.Context) (*result, error) {
	r := newResult(b.load)
	for round := range b.rounds {
		for i := range b.tools {
			one := b.tools[(round+i)%len(b.tools)]
			began := time.Now()
			if err := b.round(ctx, one, r); err != nil {
				return nil, fmt.Errorf("%s, %s: %w", b.load, one.name(), err)
			}
			fmt.Fprintf(b.out, "%s, round %d of %d: %s, %.1f s\n", b.load, round+1, b.rounds, one.name(), time.Since(began).Seconds())
		}
	}
	return r, nil
}

// round has a tool take all steps, and removes what it has deployed.
func (b *bench) round(ctx context.Context, one tool, r *result) (err error) {
	if err := errors.Join(b.world.clear(ctx), b.world.repo.withdraw(ctx)); err != nil {
		return err
	}
	defer func() { // also of what has started in part
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		used, stopped := one.stop(limited)
		if err = errors.Join(err, stopped); err == nil && used != nil {
			r.memory[one.name()] = append(r.memory[one.name()], *used)
		}
	}()
	if err := one.start(ctx); err != nil {
		return err
	}
	b.release++
	e := newEstate(b.load, b.world.registry, b.release)
	all := e.names()
	changes := []func() []string{
		func() []string { return all },
		func() []string { b.release++; e.raise(b.release); return all },
		func() []string {
			b.release++
			e.releases[all[len(all)/2]][b.load.services/2] = b.release
			return all[len(all)/2 : len(all)/2+1]
		},
		func() []string { return all },
	}
	for i, step := range steps {
		before := b.release
		changed := changes[i]()
		if i == 0 || b.release != before {
			if err := b.world.repo.commit(ctx, e); err != nil {
				return err
			}
		}
		taken, err := b.measure(ctx, one, e, changed)
		if err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
		r.add(step, one.name(), taken)
	}
	return nil
}

// measure publishes the last commit, has a tool deploy it, and checks the engine.
func (b *bench) measure(ctx context.Context, one tool, e *estate, changed []string) (sample, error) {
	commit, err := b.world.repo.head(ctx)
	if err == nil {
		err = b.world.repo.publish(ctx)
	}
	if err != nil {
		return sample{}, err
	}
	what := change{commit: commit}
	for _, stack := range e.names() {
		at := place{stack, b.world.repo.stackDir(e.folder(stack))}
		what.all = append(what.all, at)
		if slices.Contains(changed, stack) {
			what.stacks = append(what.stacks, at)
		}
	}
	b.world.proxy.reset()
	began := time.Now()
	cpu, err := one.deploy(ctx, what)
	if err != nil {
		return sample{}, err
	}
	if err := until(ctx, patience, func() error { return b.world.verify(ctx, e) }); err != nil {
		return sample{}, err
	}
	seen := b.world.proxy.tally()
	if seen.end().Before(began) {
		return sample{}, errors.New("the engine was not asked")
	}
	return sample{elapsed: seen.end().Sub(began), cpu: cpu, tally: seen}, nil
}
