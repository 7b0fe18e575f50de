package gitlab

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"coin.internal/coin-agent/internal/limits"
)

// largestPage is how many items a page of pages has, before one was too long.
const largestPage = 100

// pages requests a list of long texts, such as the notes on a merge request, page by page, and
// gives the items. Each page is a question of its own, within limits.answer_bytes, so that the
// number of texts does not matter. A page that is too long is requested again in smaller ones.
// An error is an *Error, and comes last.
func pages[T any](ctx context.Context, c *Client, what string, read func(gl.ListOptions, gl.RequestOptionFunc) ([]*T, *gl.Response, error)) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		at, size := int64(0), int64(largestPage) // at is a multiple of size
		for range maxPages {
			items, resp, err := read(gl.ListOptions{Page: at/size + 1, PerPage: size}, gl.WithContext(c.budget(ctx)))
			if errors.Is(err, limits.ErrExceeded) && size > 1 {
				size /= 10
				continue
			}
			if err == nil && slices.Contains(items, nil) {
				err = errNull
			}
			if err = c.refusal(what, resp != nil, err); err != nil {
				yield(nil, err)
				return
			}
			if !each(items, yield) || resp.NextPage == 0 {
				return
			}
			at += size
		}
		yield(nil, &Error{Kind: KindRetry, Err: fmt.Errorf("%s: the list has more than %d pages", what, maxPages)})
	}
}

// each gives items, and reports whether all were wanted.
func each[T any](items []*T, yield func(*T, error) bool) bool {
	for _, one := range items {
		if !yield(one, nil) {
			return false
		}
	}
	return true
}
