package manifests

import (
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // what a config.yml means must not depend on the machine

	"github.com/robfig/cron/v3"
)

// Freeze is one entry of `freeze`: a time in which no rollout begins. It has a
// schedule and a duration, or from and to.
type Freeze struct {
	Name     string        `yaml:"name" required:"true" doc:"What the freeze is called where it is shown."`
	Schedule string        `yaml:"schedule" format:"cron" doc:"When it begins, as five fields of cron: minute, hour, day of the month, month, day of the week."`
	Duration time.Duration `yaml:"duration" doc:"How long it lasts from each beginning, on the clock of time_zone: 62h from Friday 18:00 end on Monday 08:00, also when the clocks are changed in between."`
	From     string        `yaml:"from" format:"time" doc:"When a freeze that comes once begins."`
	To       string        `yaml:"to" format:"time" doc:"When it ends."`
	TimeZone string        `yaml:"time_zone" format:"zone" default:"UTC" doc:"The time zone that schedule means, and that the end is shown in."`
	Nodes    []string      `yaml:"nodes" doc:"The nodes that it holds for. Without it, all."`
}

// Frozen is a freeze that holds.
type Frozen struct {
	Name  string
	Until time.Time // in the freeze's time zone
}

// longestFreeze bounds what comes again and again.
const longestFreeze = 31 * 24 * time.Hour

// Frozen tells which of the freezes holds for a node at a time: that which ends
// last.
func (c *Config) Frozen(node string, at time.Time) (Frozen, bool) {
	return FrozenBy(c.Freeze, node, at)
}

// FrozenBy tells the same of freezes that were validated before.
func FrozenBy(freezes []Freeze, node string, at time.Time) (last Frozen, is bool) {
	for _, freeze := range freezes {
		if len(freeze.Nodes) > 0 && !slices.Contains(freeze.Nodes, node) {
			continue
		}
		if until, holds := freeze.holds(at); holds && until.After(last.Until) {
			last, is = Frozen{Name: freeze.Name, Until: until}, true
		}
	}
	return last, is
}

// holds tells whether a freeze holds at a time, and until when.
func (f *Freeze) holds(at time.Time) (until time.Time, holds bool) {
	zone, err := time.LoadLocation(f.TimeZone)
	if err != nil {
		return time.Time{}, false // validated
	}
	if f.Schedule == "" {
		from, _ := time.Parse(time.RFC3339, f.From)
		to, _ := time.Parse(time.RFC3339, f.To)
		return to.In(zone), !at.Before(from) && at.Before(to)
	}
	schedule, err := parseSchedule(f.Schedule)
	if err != nil {
		return time.Time{}, false
	}
	// All is reckoned on the wall clock, where no hour is missing or comes twice.
	// A day more than the duration has whatever the clocks were changed by.
	begin := schedule.Next(onWall(at, zone).Add(-f.Duration - 24*time.Hour))
	for range mostBeginnings {
		if begin.IsZero() {
			break
		}
		first, _ := offWall(begin, zone)
		if first.After(at) && (!holds || first.After(until)) {
			break
		}
		if _, end := offWall(begin.Add(f.Duration), zone); end.After(at) {
			until, holds = end, true
		}
		begin = schedule.Next(begin)
	}
	return until, holds
}

// mostBeginnings bounds the search where freezes follow each other without end.
const mostBeginnings = 50_000

// parseSchedule reads five fields of cron, and none of the library's extensions.
func parseSchedule(text string) (cron.Schedule, error) {
	if strings.ContainsAny(text, "=@") {
		return nil, fmt.Errorf("read schedule %q: not five fields of cron", text)
	}
	return cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(text)
}

// onWall gives what a clock in a zone shows, as if it were UTC.
func onWall(at time.Time, zone *time.Location) time.Time {
	at = at.In(zone)
	return time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), time.UTC)
}

// offWall gives the first and the last time that a clock in a zone shows that:
// they differ in the hour that comes twice.
func offWall(shown time.Time, zone *time.Location) (first, last time.Time) {
	at := time.Date(shown.Year(), shown.Month(), shown.Day(), shown.Hour(), shown.Minute(), shown.Second(), 0, zone)
	first, last = at, at
	for _, shift := range []time.Duration{30 * time.Minute, time.Hour} {
		if before := at.Add(-shift); onWall(before, zone).Equal(onWall(at, zone)) {
			first = before
		}
		if after := at.Add(shift); onWall(after, zone).Equal(onWall(at, zone)) {
			last = after
		}
	}
	return first, last
}

// timeFormat is a rule of what says when.
func timeFormat(name string) format {
	switch name {
	case "cron":
		return format{want: "five fields of cron such as 0 18 * * FRI", pattern: `^\S+( +\S+){4}$`, holds: isSchedule}
	case "zone":
		return format{want: "a time zone such as Europe/Amsterdam", pattern: `^[A-Za-z][A-Za-z0-9_+/-]*$`, holds: isZone}
	}
	return format{want: "a time such as 2026-12-24T18:00:00+01:00", pattern: `^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}`, holds: isTime}
}

func isSchedule(text string) bool {
	_, err := parseSchedule(text)
	return err == nil
}

// isZone leaves out Local: what a config.yml means is the same on each machine.
func isZone(text string) bool {
	_, err := time.LoadLocation(text)
	return err == nil && text != "Local"
}

func isTime(text string) bool {
	_, err := time.Parse(time.RFC3339, text)
	return err == nil
}

func (c *Config) validateFreeze(found *faults) {
	names := map[string]bool{}
	for i, freeze := range c.Freeze {
		key := fmt.Sprintf("freeze[%d]", i)
		if names[freeze.Name] {
			found.add(c.Place(key+".name"), "rename one of the two", "freeze %q is listed twice", freeze.Name)
		}
		names[freeze.Name] = true
		c.unique(found, key+".nodes", freeze.Nodes)
		for j, node := range freeze.Nodes {
			if _, ok := c.Node(node); !ok && node != "" {
				found.add(c.Place(fmt.Sprintf("%s.nodes[%d]", key, j)), oneOf(node, c.nodeNames()), "freeze %q names the node %q, which nodes does not list", freeze.Name, node)
			}
		}
		c.validateWindow(found, key, freeze)
	}
}

// validateWindow checks that a freeze says in one of the two ways when it is.
func (c *Config) validateWindow(found *faults, key string, freeze Freeze) {
	given := func(name string) bool {
		_, set := c.places[key+"."+name]
		return set
	}
	const remedy = "write schedule and duration, or from and to"
	switch repeats, once := given("schedule") || given("duration"), given("from") || given("to"); {
	case repeats == once:
		found.add(c.Place(key), remedy, "%s has to say either when it comes again and again, or when it comes once", key)
	case repeats && (!given("schedule") || !given("duration")), once && (!given("from") || !given("to")):
		found.add(c.Place(key), remedy, "%s does not say both when it begins and when it ends", key)
	case once && isTime(freeze.From) && isTime(freeze.To) && !freeze.ordered():
		found.add(c.Place(key+".to"), "write a later time", "%s ends before it begins", key)
	case repeats && freeze.Duration > longestFreeze:
		found.add(c.Place(key+".duration"), "write at most 744h, or from and to", "%s lasts longer than 31 days", key)
	case repeats && isSchedule(freeze.Schedule) && never(freeze.Schedule):
		found.add(c.Place(key+".schedule"), "write a day that exists", "%s never begins: there is no such day", key)
	}
}

// ordered tells whether a freeze that comes once ends after it begins.
func (f *Freeze) ordered() bool {
	from, _ := time.Parse(time.RFC3339, f.From)
	to, _ := time.Parse(time.RFC3339, f.To)
	return to.After(from)
}

// never tells of a schedule such as the 30th of February. It does not ask which
// day it is today.
func never(text string) bool {
	schedule, err := parseSchedule(text)
	return err == nil && schedule.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero()
}
