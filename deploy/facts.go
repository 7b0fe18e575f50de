package deploy

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
)

// Facts are the questions that Observe asked, each with the engine's answer. They keep none of the
// objects.
type Facts []question

// question reports whether the engine gives the same answer again.
type question func(context.Context) (same bool, err error)

// Same asks all of it again, and reports whether the engine answers the same, byte for byte. It
// decodes no answer that is the same, apart from the networks, which the engine lists in random
// order. No Facts are never the same.
func (f Facts) Same(ctx context.Context) (bool, error) {
	errs := make([]error, len(f))
	var same atomic.Int64
	inParallel(len(f), len(f), func(int) bool { return true }, func(i int) {
		is, err := f[i](ctx)
		if errs[i] = err; is {
			same.Add(1)
		}
	})
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return false, errs[i]
	}
	return len(f) > 0 && int(same.Load()) == len(f), nil
}

// lister lists objects by a filter.
type lister[T any] func(context.Context, filters.Args) (map[string]T, error)

// heardBy notes what a lister asks, with the answer.
func heardBy[T any](facts *Facts, list lister[T]) lister[T] {
	return func(ctx context.Context, filter filters.Args) (map[string]T, error) {
		listening, heard := hear(ctx, Answer{})
		found, err := list(listening, filter)
		answer := heard.now
		*facts = append(*facts, func(ctx context.Context) (bool, error) {
			listening, again := hear(ctx, answer)
			_, err := list(listening, filter)
			return again.same(), err
		})
		return found, err
	}
}

// notedNetworks reads the networks, and notes them.
func (r *reader) notedNetworks(ctx context.Context, facts *Facts) (map[string]network.Summary, error) {
	found, err := r.allNetworks(ctx)
	if err != nil {
		return nil, err
	}
	sum := sumOf(found)
	*facts = append(*facts, func(ctx context.Context) (bool, error) {
		again, err := r.allNetworks(ctx)
		return err == nil && sum != "" && sumOf(again) == sum, err
	})
	return found, nil
}
