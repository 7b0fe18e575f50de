package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"regexp"
	"strings"
	"time"
)

// route serves what Traefik serves in examples/layers: it finds the services of a Swarm by their
// labels, and forwards requests to their tasks. Its own server answers health checks.
func route(ctx context.Context, log *slog.Logger, flags []string) error {
	listener, err := net.Listen("tcp", flagOf(flags, "entryPoints.web.address"))
	if err != nil {
		return fmt.Errorf("route: %w", err)
	}
	socket := strings.TrimPrefix(flagOf(flags, "providers.swarm.endpoint"), "unix://")
	engine := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		services, err := listServices(r.Context(), engine)
		if err != nil {
			log.Error("cannot list services", "error", err)
			http.Error(w, "cannot list services", http.StatusBadGateway)
			return
		}
		for _, one := range services {
			if address := one.address(r.Host, r.URL.Path); address != "" {
				proxy := httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.Out.URL.Scheme, p.Out.URL.Host = "http", address }}
				proxy.ServeHTTP(w, r)
				return
			}
		}
		http.NotFound(w, r)
	})}
	defer func() { _ = server.Close() }()
	go func() { _ = server.Serve(listener) }()
	return serve(ctx, log)
}

// flagOf gives the value of a flag --name=value.
func flagOf(flags []string, name string) string {
	for _, flag := range flags {
		if value, found := strings.CutPrefix(flag, "--"+name+"="); found {
			return value
		}
	}
	return ""
}

type service struct {
	Spec struct {
		Name   string
		Labels map[string]string
	}
}

func listServices(ctx context.Context, engine *http.Client) (services []service, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/services", http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := engine.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the engine returned %s", response.Status)
	}
	return services, json.NewDecoder(response.Body).Decode(&services)
}

var (
	router   = regexp.MustCompile(`^traefik\.http\.routers\.[^.]+\.rule$`)
	port     = regexp.MustCompile(`^traefik\.http\.services\.[^.]+\.loadbalancer\.server\.port$`)
	ofHost   = regexp.MustCompile("Host\\(`([^`]+)`\\)")
	prefixes = regexp.MustCompile("PathPrefix\\(`([^`]+)`\\)")
)

// address gives where a request goes if a rule of the service has its host and one of its
// prefixes; "" otherwise.
func (s service) address(host, path string) string {
	labels, listens, matches := s.Spec.Labels, "80", false
	for name, value := range labels {
		if port.MatchString(name) {
			listens = value
		}
		if of := ofHost.FindStringSubmatch(value); !router.MatchString(name) || of == nil || of[1] != host {
			continue
		}
		for _, prefix := range prefixes.FindAllStringSubmatch(value, -1) {
			matches = matches || strings.HasPrefix(path, prefix[1])
		}
	}
	if !matches || labels["traefik.enable"] != "true" {
		return ""
	}
	return "tasks." + s.Spec.Name + ":" + listens // the addresses of its tasks
}
