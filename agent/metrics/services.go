package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/deploy"
)

// servicesGauges gives the gauges of a stack's services, as the last look saw them. There
// are none before the first look.
func servicesGauges(ask func() ([]deploy.ServiceStatus, health.Verdict)) []prometheus.Collector {
	ofServices := func(name, help string, value func(deploy.ServiceStatus) uint64) prometheus.Collector {
		return scrapedGauge{prometheus.NewDesc(name, help, []string{"service"}, nil), func(set func(string, float64)) {
			services, _ := ask()
			for _, service := range services {
				set(service.Name, float64(value(service)))
			}
		}}
	}
	healthy := scrapedGauge{
		prometheus.NewDesc("coin_agent_healthy", "1 when every service runs what it declares, 0 when the stack is degraded or unhealthy.", nil, nil),
		func(set func(string, float64)) {
			if _, verdict := ask(); verdict.State != "" {
				set("", truth(verdict.State == health.Healthy))
			}
		},
	}
	restarts := scrapedGauge{
		prometheus.NewDesc("coin_agent_service_restarts", "Tasks of the service that ended by themselves within ten minutes; only of services that are not healthy.", []string{"service"}, nil),
		func(set func(string, float64)) {
			_, verdict := ask()
			for _, service := range verdict.Services {
				set(service.Name, float64(service.Restarts))
			}
		},
	}
	return []prometheus.Collector{
		healthy, restarts,
		ofServices("coin_agent_service_tasks_running", "Tasks of the service that run.", func(s deploy.ServiceStatus) uint64 { return s.Running }),
		ofServices("coin_agent_service_tasks_desired", "Tasks of the service that are to run.", func(s deploy.ServiceStatus) uint64 { return s.Desired }),
	}
}
