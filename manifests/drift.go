package manifests

import (
	"fmt"
	"slices"
	"time"

	"coin.internal/coin-agent/internal/fault"
)

// DriftIgnore is one entry of `drift_ignore`: fields of a service that another process
// manages.
type DriftIgnore struct {
	Service string   `yaml:"service" required:"true" example:"web" doc:"The service, by its name in the compose files."`
	Fields  []string `yaml:"fields" required:"true" enum:"replicas|image|environment|labels|constraints|limits|reservations|update_config|rollback_config|restart_policy" example:"[replicas]" doc:"The fields whose live values stay, by their names in compose files: replicas, image, environment, the labels of deploy.labels, the placement constraints, the limits and reservations of resources, update_config, rollback_config, restart_policy."`
	Until   string   `yaml:"until" format:"date" example:"\"2027-03-01\"" doc:"The day, in UTC, from whose beginning on the entry has no effect. Default: none."`
	Reason  string   `yaml:"reason" required:"true" example:"the autoscaler sets them" doc:"Which process manages the fields, and why. agent status and agent diff show it."`
}

// DayOver reports whether an entry that ends with the beginning of a day, in UTC, is over; one
// without a day never is.
func DayOver(day string, now time.Time) bool {
	end, err := time.Parse(time.DateOnly, day)
	return day != "" && (err != nil || !now.Before(end)) // validated
}

func isDate(text string) bool {
	_, err := time.Parse(time.DateOnly, text)
	return err == nil
}

// OverIgnores returns a warning for each entry of drift_ignore that has no effect any more.
func (c *Config) OverIgnores(now time.Time) []*fault.Error {
	var over []*fault.Error
	for i, entry := range c.DriftIgnore {
		if DayOver(entry.Until, now) {
			over = append(over, fault.New(c.Place(fmt.Sprintf("drift_ignore[%d].until", i)), "write a later day, or remove the entry",
				"drift_ignore of %s has no effect since %s", entry.Service, entry.Until))
		}
	}
	return over
}

// idleIgnores returns a warning for each entry of drift_ignore that names none of the
// services.
func idleIgnores(c *Config, services []string) []*fault.Error {
	var idle []*fault.Error
	for i, entry := range c.DriftIgnore {
		if !slices.Contains(services, entry.Service) {
			idle = append(idle, fault.New(c.Place(fmt.Sprintf("drift_ignore[%d].service", i)), oneOf(entry.Service, services),
				"drift_ignore names the service %q, which this node does not have", entry.Service))
		}
	}
	return idle
}

func (v *validator) validateDriftIgnore() {
	first := map[string]string{}
	for i, entry := range v.config.DriftIgnore {
		key := fmt.Sprintf("drift_ignore[%d].fields", i)
		if v.config.set(key) && len(entry.Fields) == 0 {
			v.add(key, "list fields such as replicas, or remove the entry", "%s is empty", key)
		}
		for j, field := range entry.Fields {
			if field != "" {
				v.once(first, "drift_ignore", fmt.Sprintf("%s[%d]", key, j), field+" of "+entry.Service, "remove one of the two")
			}
		}
	}
}
