package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"

	"github.com/docker/docker/client"

	"coin.internal/coin-agent/internal/lazyregexp"
)

// Answer identifies the bytes of an answer of the engine about services, tasks, secrets or configs. The
// zero Answer stands for bytes that are not known.
type Answer [sha256.Size]byte

// hearing is what a reading of objects knows of the engine's last answer, and learns of this one.
type hearing struct {
	last, now Answer
	wanted    bool // the caller waits for now

	take func(answer io.Reader) error // decodes the answer in place of docker's client
	err  error                        // of take
}

// same reports whether the answer is the last one. Its objects are not decoded then.
func (h *hearing) same() bool { return h.now == h.last && h.now != Answer{} }

type hearingKey struct{}

// hear gives a context for one call that lists objects.
func hear(ctx context.Context, last Answer) (context.Context, *hearing) {
	heard := &hearing{last: last, wanted: true}
	return context.WithValue(ctx, hearingKey{}, heard), heard
}

// hearingOf gives what the caller of hear waits for; nil if the call is another one.
func hearingOf(ctx context.Context) *hearing {
	heard, _ := ctx.Value(hearingKey{}).(*hearing)
	return heard
}

// SameAnswer takes the whole answer of a client without HTTP to a call that lists services,
// secrets or configs. It reports whether the caller has these from the last answer, and needs none.
func SameAnswer(ctx context.Context, answer func() []byte) bool {
	heard := hearingOf(ctx)
	if heard == nil || !heard.wanted {
		return false
	}
	heard.now = sha256.Sum256(answer())
	return heard.same()
}

// hearAnswers has a client compare answers that are heard. Of one that is the last one it decodes
// nothing, and keeps nothing in memory. Docker's client traces each request, for which it has no
// reader here: the requests go to its connections directly.
func hearAnswers(api *client.Client, connections http.RoundTripper) error {
	with := api.HTTPClient()
	with.Transport = listener{connections}
	return client.WithHTTPClient(with)(api)
}

// heardPaths are those of the calls whose answers are heard.
var heardPaths = lazyregexp.New(`/(services|secrets|configs|tasks)$`)

type listener struct{ to http.RoundTripper }

// RoundTrip sends a request. If its answer is the last one, the client gets none in place of it.
// Otherwise the request is sent again, because the bytes of the first answer are gone; the
// Answer is always that of the bytes that the client decodes.
func (l listener) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := l.to.RoundTrip(request)
	heard := hearingOf(request.Context())
	if err != nil || heard == nil || heard.take == nil || response.StatusCode != http.StatusOK || !heardPaths().MatchString(request.URL.Path) {
		return response, err
	}
	if heard.last != (Answer{}) {
		body := &heardBody{from: response.Body, sum: sha256.New(), heard: heard}
		_, err := io.Copy(io.Discard, body)
		if err := errors.Join(err, body.Close()); err != nil {
			return nil, err
		}
		if heard.same() {
			return withoutList(response), nil
		}
		heard.now = Answer{}
		if response, err = l.to.RoundTrip(request); err != nil || response.StatusCode != http.StatusOK {
			return response, err
		}
	}
	body := response.Body
	if heard.wanted {
		body = &heardBody{from: body, sum: sha256.New(), heard: heard}
	}
	if heard.err = errors.Join(heard.take(body), body.Close()); heard.err != nil {
		heard.now = Answer{}
	}
	return withoutList(response), nil
}

// withoutList gives an answer of which the client decodes nothing.
func withoutList(response *http.Response) *http.Response {
	response.Body, response.ContentLength = io.NopCloser(strings.NewReader("null")), -1
	return response
}

// inTurn makes one call that lists objects, and decodes its answer one object after the other: docker's
// client has all bytes of the answer in memory before it decodes any, in a buffer that it doubles.
func inTurn[T any](ctx context.Context, list func(context.Context) ([]T, error)) ([]T, error) {
	ctx, cancel := context.WithTimeout(ctx, ReadLimit)
	defer cancel()
	heard := hearingOf(ctx)
	if heard == nil {
		heard = &hearing{}
		ctx = context.WithValue(ctx, hearingKey{}, heard)
	}
	var objects []T
	heard.take = func(answer io.Reader) (err error) {
		objects, err = decodeInTurn[T](answer)
		return err
	}
	all, err := list(ctx)
	heard.take = nil // the runtime may keep the timer of a context until it would fire, and what the context has
	if objects != nil {
		all = objects
	}
	return all, errors.Join(err, heard.err)
}

// decodeInTurn reads a list of objects to its end.
func decodeInTurn[T any](answer io.Reader) ([]T, error) {
	objects, decoder := []T{}, json.NewDecoder(answer)
	switch begin, err := decoder.Token(); {
	case err != nil:
		return nil, err
	case begin == nil: // null
	case begin != json.Delim('['):
		return nil, fmt.Errorf("the answer begins with %v, which is not a list", begin)
	default:
		for decoder.More() {
			var one T
			if err := decoder.Decode(&one); err != nil {
				return nil, err
			}
			objects = append(objects, one)
		}
		if _, err := decoder.Token(); err != nil {
			return nil, err
		}
	}
	_, err := io.Copy(io.Discard, answer)
	return objects, err
}

// heardBody notes the Answer when all of it was read.
type heardBody struct {
	from  io.ReadCloser
	sum   hash.Hash
	heard *hearing
}

func (b *heardBody) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.sum.Write(p[:n])
	if err == io.EOF {
		b.heard.now = Answer(b.sum.Sum(nil))
	}
	return n, err
}

func (b *heardBody) Close() error { return b.from.Close() }
