package control

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"coin.internal/coin-agent/internal/apart"
)

// Inside gives a client that asks a handler of this process, such as that of Handler. The context
// of a request says by WithCaller who asks. If it ends before the answer, what was asked goes on.
func Inside(handler http.Handler) *Client {
	return &Client{http: &http.Client{Transport: inside{handler}}, base: "http://" + agentHost, most: maxAnswer}
}

// inside carries requests to a handler.
type inside struct{ handler http.Handler }

func (i inside) RoundTrip(r *http.Request) (*http.Response, error) {
	given, err := apart.Do(r.Context(), func() (*kept, error) {
		answer := &kept{header: http.Header{}, status: http.StatusOK}
		i.handler.ServeHTTP(answer, r)
		return answer, context.Cause(r.Context())
	}, nil)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: given.status, Status: http.StatusText(given.status), Header: given.header, Body: io.NopCloser(&given.body), Request: r,
	}, nil
}

// kept keeps an answer.
type kept struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *kept) Header() http.Header            { return k.header }
func (k *kept) WriteHeader(status int)         { k.status = status }
func (k *kept) Write(data []byte) (int, error) { return k.body.Write(data) }

// Flush does nothing: the whole answer is kept.
func (k *kept) Flush() {}
