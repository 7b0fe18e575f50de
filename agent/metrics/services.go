package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/deploy"
)

// servicesGauges gives the gauges of a stack's services, as the last look saw them. There
// are none before the first look, nor while the last look is too old for a verdict.
func servicesGauges(ask func() Services) []prometheus.Collector {
	ofServices := func(name, help string, value func(deploy.ServiceStatus) uint64) prometheus.Collector {
		return scrapedGauge{prometheus.NewDesc(name, help, []string{"service"}, nil), func(set func(string, float64)) {
			for _, service := range ask().Of {
				set(service.Name, float64(value(service)))
			}
		}}
	}
	healthy := scrapedGauge{
		prometheus.NewDesc("coin_agent_healthy", "1 when every service runs what it declares, 0 when the stack is degraded or unhealthy.", nil, nil),
		func(set func(string, float64)) {
			if now := ask(); now.Verdict.State != "" {
				set("", truth(now.Verdict.State == health.Healthy))
			}
		},
	}
	restarts := scrapedGauge{
		prometheus.NewDesc("coin_agent_service_restarts", "Tasks of the service that ended by themselves within ten minutes; only of services that are not healthy.", []string{"service"}, nil),
		func(set func(string, float64)) {
			for _, service := range ask().Verdict.Services {
				set(service.Name, float64(service.Restarts))
			}
		},
	}
	unknown := scrapedGauge{
		prometheus.NewDesc("coin_agent_services_unknown", "1 while the state of the services is not known, with the reason.", []string{"reason"}, nil),
		func(set func(string, float64)) {
			if now := ask(); now.Unknown != "" {
				set(now.Unknown, 1)
			}
		},
	}
	observed := scrapedGauge{
		prometheus.NewDesc("coin_agent_services_seen_timestamp_seconds", "When the services were looked at last.", nil, nil),
		func(set func(string, float64)) {
			if now := ask(); !now.Observed.IsZero() {
				set("", float64(now.Observed.Unix()))
			}
		},
	}
	return []prometheus.Collector{
		healthy, restarts, unknown, observed,
		ofServices("coin_agent_service_tasks_running", "Tasks of the service that run.", func(s deploy.ServiceStatus) uint64 { return s.Running }),
		ofServices("coin_agent_service_tasks_desired", "Tasks of the service that are to run.", deploy.ServiceStatus.Wanted),
	}
}
