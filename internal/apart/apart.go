// Package apart calls what cannot be interrupted, such as the parsers of other libraries: it
// takes a context and a function, and gives the function's result, or the context's error at
// once when the context ends first. Or it calls a function while its caller does something else.
package apart

import (
	"context"
	"fmt"
)

// Do calls a function in a goroutine of its own, and waits for it until ctx ends. Then the
// function is abandoned: it goes on, so its input must be bounded, and it must change nothing
// that others use. What it gives later goes to late, which may be nil.
func Do[T any](ctx context.Context, call func() (T, error), late func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	abandoned := make(chan struct{})
	go func() {
		value, err := call()
		done <- result{value, err}
		select {
		case <-abandoned:
		default:
			return
		}
		select {
		case given := <-done:
			if late != nil && given.err == nil {
				late(given.value)
			}
		default:
		}
	}()
	select {
	case given := <-done:
		return given.value, given.err
	case <-ctx.Done():
	}
	close(abandoned)
	select {
	case given := <-done: // it ended at the same time
		return given.value, given.err
	default:
	}
	var none T
	return none, fmt.Errorf("abandoned: %w", context.Cause(ctx))
}

// Begin calls a function in a goroutine of its own, and gives the function that waits for its result,
// each time that it is called.
func Begin[T any](call func() (T, error)) (wait func() (T, error)) {
	var value T
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		value, err = call()
	}()
	return func() (T, error) {
		<-done
		return value, err
	}
}
