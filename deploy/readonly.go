package deploy

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/docker/docker/client"
)

// ConnectToRead prepares a connection through which nothing on the engine can be changed.
func ConnectToRead(host string) (*Engine, error) {
	engine, err := Connect(host)
	if err != nil {
		return nil, err
	}
	api, ok := engine.host.(*client.Client)
	if !ok {
		return nil, fmt.Errorf("use engine address %q: %T has no transport", host, engine.host)
	}
	reads := api.HTTPClient()
	reads.Transport = readOnly{reads.Transport}
	return engine, client.WithHTTPClient(reads)(api)
}

// readOnly answers each request that could change something as an engine that refuses it.
type readOnly struct{ to http.RoundTripper }

func (r readOnly) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		if request.Body != nil {
			_ = request.Body.Close()
		}
		said := fmt.Sprintf(`{"message":%q}`, "the agent only observes (mode: observe): "+request.Method+" "+request.URL.Path+" was not sent to the engine")
		return &http.Response{
			Status: "403 Forbidden", StatusCode: http.StatusForbidden, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: request,
			Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: int64(len(said)), Body: io.NopCloser(strings.NewReader(said)),
		}, nil
	}
	return r.to.RoundTrip(request)
}
