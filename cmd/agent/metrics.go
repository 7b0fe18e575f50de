package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/access"
	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/tokens"
)

// serveMetrics opens the addresses of metrics and health, and gives what serves them: the one
// for this machine, and the one for others, which is nil if the settings name none.
func serveMetrics(a *app, handler http.Handler, log *slog.Logger) (exposed *access.Exposition, services []func(context.Context) error, err error) {
	var own net.Listener
	if a.settings.Listen != "" {
		if own, err = net.Listen("tcp", a.settings.Listen); err != nil {
			return nil, nil, fmt.Errorf("listen for metrics: %w", err)
		}
		log.Info("metrics and health", "address", own.Addr().String())
		services = append(services, func(ctx context.Context) error {
			return control.Serve(ctx, own, control.LoopbackOnly(handler))
		})
	}
	if a.settings.MetricsListen == "" {
		return nil, services, nil
	}
	if exposed, err = access.Expose(a.settings.Metrics(), log); err != nil {
		if own != nil {
			err = errors.Join(err, own.Close())
		}
		return nil, nil, err
	}
	log.Info("metrics and health for other machines", "address", exposed.Listener().Addr().String(),
		"tls", a.settings.MetricsCertFile != "", "token", a.settings.MetricsTokenFile != "")
	return exposed, append(services, func(ctx context.Context) error {
		return control.Serve(ctx, exposed.Listener(), exposed.Handler(handler))
	}), nil
}

// measureNode has the node's metrics ask the parts of its agent at each scrape.
func measureNode(p *agent.Parts) {
	p.Metrics.Reports(func() int {
		if p.Reports == nil {
			return 0
		}
		return p.Reports.Health().Undelivered
	})
	if p.Tokens != nil {
		p.Metrics.Tokens(func() map[string]time.Time { return tokens.Expiries(p.Tokens()) }, func() map[string]bool { return tokens.Usable(p.Tokens()) })
	}
	if p.Audit != nil {
		p.Metrics.Audit(func() uint64 { return p.Audit.Head().Seq }, func() map[string]int {
			if p.Anchors == nil {
				return nil
			}
			return anchor.Left(p.Anchors.Health())
		})
	}
}
