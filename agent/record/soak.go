package record

import (
	"slices"
	"time"
)

// Soak is the time after a rollout in which the services that it changed must stay healthy.
type Soak struct {
	Until     time.Time     `json:"until"`
	For       time.Duration `json:"for"`
	Services  []string      `json:"services"`            // by full name, sorted
	Patience  time.Duration `json:"patience"`            // how long tasks of them may be missing
	Automatic bool          `json:"automatic,omitempty"` // config.yml wants a rollback
	Failed    string        `json:"failed,omitempty"`    // which of them did not stay healthy; "" for none
	Refused   bool          `json:"refused,omitempty"`   // the rollback was refused: a user decides
}

// Soaks reports whether the soak time of a state still runs.
func (g *GoodState) Soaks(now time.Time) bool {
	return g != nil && g.Soak != nil && g.Soak.Failed == "" && now.Before(g.Soak.Until)
}

// Watches reports whether the state of a service decides about a good state: a rollout
// changed the service, and its soak time runs, or it did not stay healthy.
func (g *GoodState) Watches(service string, now time.Time) bool {
	return g != nil && g.Soak != nil && (g.Soak.Failed != "" || now.Before(g.Soak.Until)) && slices.Contains(g.Soak.Services, service)
}

// Excuse gives the state without services in its soak time; that ends without any.
func (g *GoodState) Excuse(services []string) *GoodState {
	excused, soak := *g, *g.Soak
	soak.Services = slices.DeleteFunc(slices.Clone(soak.Services), func(name string) bool { return slices.Contains(services, name) })
	if excused.Soak = &soak; len(soak.Services) == 0 {
		excused.Soak = nil
	}
	return &excused
}

// Fail gives the state after some of its services did not stay healthy: no rollback returns
// to it.
func (g *GoodState) Fail(why string) *GoodState {
	failed, soak := *g, *g.Soak
	soak.Failed = why
	if failed.Soak = &soak; failed.Unfit == "" {
		failed.Unfit = why
	}
	return &failed
}

// Recover gives the state after its services have been healthy for a whole soak time again.
func (g *GoodState) Recover() *GoodState {
	recovered, soak := *g, *g.Soak
	if recovered.Unfit == soak.Failed {
		recovered.Unfit = ""
	}
	soak.Failed, soak.Refused = "", false
	recovered.Soak = &soak
	return &recovered
}
