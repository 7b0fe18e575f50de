package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// serveSocket serves on a unix socket until the test ends, and gives its address
// as an engine's.
func serveSocket(t *testing.T, path string, handler http.HandlerFunc) string {
	t.Helper()
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return "unix://" + path
}
