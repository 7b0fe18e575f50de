package policy

import (
	"cmp"
	"encoding"
	"fmt"
	"math"
	"strconv"

	"github.com/docker/go-units"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
)

// Bytes is an amount of memory.
type Bytes int64

// MarshalText writes the amount as agent.yml has it, without rounding: 512M.
func (b Bytes) MarshalText() ([]byte, error) {
	for _, unit := range []struct {
		size Bytes
		name string
	}{{units.GiB, "G"}, {units.MiB, "M"}, {units.KiB, "K"}} {
		if b >= unit.size && b%unit.size == 0 {
			return []byte(fmt.Sprintf("%d%s", b/unit.size, unit.name)), nil
		}
	}
	return []byte(strconv.FormatInt(int64(b), 10)), nil
}

// UnmarshalText reads an amount of agent.yml. K, M and G are powers of 1024, as in compose
// files.
func (b *Bytes) UnmarshalText(text []byte) error {
	size, err := units.RAMInBytes(string(text))
	if err != nil || size <= 0 {
		return fault.New(fault.Place{}, "write an amount such as 512M or 2G", "%q is not an amount of memory", text)
	}
	*b = Bytes(size)
	return nil
}

// CPUs is a number of CPUs, in billionths.
type CPUs int64

// MarshalText writes the number as agent.yml has it: 0.5.
func (c CPUs) MarshalText() ([]byte, error) {
	return []byte(strconv.FormatFloat(float64(c)/1e9, 'f', -1, 64)), nil
}

// UnmarshalText reads a number of agent.yml.
func (c *CPUs) UnmarshalText(text []byte) error {
	number, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(number > 0 && number < 1e6) {
		return fault.New(fault.Place{}, "write a number such as 0.5", "%q is not a number of CPUs", text)
	}
	*c = CPUs(number*1e9 + 0.5)
	return nil
}

// Count is a number of tasks.
type Count uint64

// Pids is a number of processes and threads.
type Pids int64

// whole reads a whole number.
type whole[N Count | Pids] struct{ into *N }

// UnmarshalText reads a number of agent.yml.
func (w whole[N]) UnmarshalText(text []byte) error {
	number, err := strconv.ParseUint(string(text), 10, 63)
	if err != nil {
		return fault.New(fault.Place{}, "write a whole number", "%q is not a whole number", text)
	}
	*w.into = N(number)
	return nil
}

// Amounts are upper limits; nil for none.
type Amounts struct {
	Replicas *Count `json:"replicas,omitempty" yaml:"replicas,omitempty"`
	Memory   *Bytes `json:"memory,omitempty" yaml:"memory,omitempty"`
	CPUs     *CPUs  `json:"cpus,omitempty" yaml:"cpus,omitempty"`
	Pids     *Pids  `json:"pids,omitempty" yaml:"pids,omitempty"`
}

// Limits are the limits of each service, memory, CPUs and processes of each of its tasks, and
// of the whole stack.
type Limits struct {
	Replicas *Count `json:"replicas,omitempty" yaml:"replicas,omitempty"`
	Memory   *Bytes `json:"memory,omitempty" yaml:"memory,omitempty"`
	CPUs     *CPUs  `json:"cpus,omitempty" yaml:"cpus,omitempty"`
	Pids     *Pids  `json:"pids,omitempty" yaml:"pids,omitempty"`

	Total *Amounts `json:"total,omitempty" yaml:"total,omitempty,flow"`
}

func readLimits(p *Policy, file string, value *yaml.Node) error {
	var each Amounts
	var total *Amounts
	known := amounts(file, &each)
	known["total"] = func(value *yaml.Node) error {
		total = &Amounts{}
		return eachKnown(file, "limits.total", value, amounts(file, total))
	}
	err := eachKnown(file, "limits", value, known)
	p.Limits = limitsOf(each, total)
	return err
}

// limitsOf gives the limits of each service, and of the whole stack; nil for none.
func limitsOf(each Amounts, total *Amounts) *Limits {
	return &Limits{Replicas: each.Replicas, Memory: each.Memory, CPUs: each.CPUs, Pids: each.Pids, Total: total}
}

func amounts(file string, into *Amounts) map[string]func(*yaml.Node) error {
	return map[string]func(*yaml.Node) error{
		"replicas": func(value *yaml.Node) error {
			into.Replicas = new(Count)
			return readText(file, value, whole[Count]{into.Replicas})
		},
		"pids": func(value *yaml.Node) error {
			into.Pids = new(Pids)
			return readText(file, value, whole[Pids]{into.Pids})
		},
		"memory": func(value *yaml.Node) error { into.Memory = new(Bytes); return readText(file, value, into.Memory) },
		"cpus":   func(value *yaml.Node) error { into.CPUs = new(CPUs); return readText(file, value, into.CPUs) },
	}
}

// usage is what a service may use, or keep from others by a reservation: the memory, CPUs and
// processes of each task, 0 without a limit. A global service counts as one task: the number
// of nodes is not known.
type usage struct {
	tasks  uint64
	memory int64
	cpus   int64
	pids   int64
}

func usageOf(service service) usage {
	one := usage{tasks: 1}
	switch mode := service.spec.Mode; {
	case mode.Replicated != nil && mode.Replicated.Replicas != nil:
		one.tasks = *mode.Replicated.Replicas
	case mode.ReplicatedJob != nil && mode.ReplicatedJob.MaxConcurrent != nil:
		one.tasks = *mode.ReplicatedJob.MaxConcurrent
	}
	if resources := service.spec.TaskTemplate.Resources; resources != nil && resources.Limits != nil {
		one.memory, one.cpus, one.pids = resources.Limits.MemoryBytes, resources.Limits.NanoCPUs, resources.Limits.Pids
		if reserved := resources.Reservations; reserved != nil && one.memory > 0 {
			one.memory = max(one.memory, reserved.MemoryBytes)
		}
		if reserved := resources.Reservations; reserved != nil && one.cpus > 0 {
			one.cpus = max(one.cpus, reserved.NanoCPUs)
		}
	}
	return one
}

// measure is memory, CPUs or processes, with the limits of each task and of the stack; nil for none.
type measure struct {
	key         string
	of          func(usage) int64
	most, total *int64
	text        func(int64) string
}

func (l *Limits) measures() []measure {
	total := cmp.Or(l.Total, &Amounts{})
	return []measure{
		{"memory", func(u usage) int64 { return u.memory }, (*int64)(l.Memory), (*int64)(total.Memory), func(n int64) string { return plainText(Bytes(n)) }},
		{"cpus", func(u usage) int64 { return u.cpus }, (*int64)(l.CPUs), (*int64)(total.CPUs), func(n int64) string { return plainText(CPUs(n)) }},
		{"pids", func(u usage) int64 { return u.pids }, (*int64)(l.Pids), (*int64)(total.Pids), func(n int64) string { return strconv.FormatInt(n, 10) }},
	}
}

// plainText writes an amount; writing one has no error.
func plainText(amount encoding.TextMarshaler) string {
	text, _ := amount.MarshalText()
	return string(text)
}

// judgeLimits refuses services and stacks that may use more, and services without a limit
// where there is one.
func judgeLimits(j *judgement) {
	limits := j.policy.Limits
	if limits == nil {
		return
	}
	j.judgeReplicas(limits.Replicas, cmp.Or(limits.Total, &Amounts{}).Replicas)
	for _, measure := range limits.measures() {
		if measure.most != nil || measure.total != nil {
			j.judgeMeasure(measure)
		}
	}
}

// judgeReplicas refuses services, and a stack, with too many tasks.
func (j *judgement) judgeReplicas(most, total *Count) {
	all := 0.0
	for _, service := range j.services {
		tasks := usageOf(service).tasks
		all += float64(tasks)
		if most != nil && tasks > uint64(*most) {
			j.refuse("limits", service.name, j.place(service.name, "deploy", "replicas"), fmt.Sprintf("run at most %d", *most),
				"has %d replicas%s", tasks, j.setBy(service.name, "deploy", "replicas"))
		}
	}
	if total != nil && all > float64(*total) {
		j.refuse("limits", "", fault.Place{}, "run fewer replicas", "the services have %.0f replicas, and the limit is %d", all, *total)
	}
}

// judgeMeasure refuses services, and a stack, that may use too much of a measure.
func (j *judgement) judgeMeasure(m measure) {
	all, keys := 0.0, []string{"deploy", "resources", "limits", m.key}
	for _, service := range j.services {
		used := usageOf(service)
		all += float64(m.of(used)) * float64(used.tasks)
		switch amount := m.of(used); {
		case amount <= 0:
			j.refuse("limits", service.name, j.place(service.name, keys...), "add deploy.resources.limits."+m.key, "has no limit for %s", m.key)
		case m.most != nil && amount > *m.most:
			j.refuse("limits", service.name, j.place(service.name, keys...), "write at most "+m.text(*m.most),
				"may use %s %s%s", m.text(amount), m.key, j.setBy(service.name, keys...))
		}
	}
	if m.total != nil && all > float64(*m.total) {
		j.refuse("limits", "", fault.Place{}, "lower limits or replicas", "the services may use %s %s together, and the limit is %s",
			m.text(int64(min(all, math.MaxInt64/2))), m.key, m.text(*m.total))
	}
}

// suggestLimits limits what each service and the stack use now. Where a service has no limit
// for a measure, there is none.
func suggestLimits(p *Policy, j *judgement) {
	p.Limits = &Limits{}
	var most, total usage
	limited := map[string]bool{"memory": true, "cpus": true, "pids": true}
	for _, service := range j.services {
		used := usageOf(service)
		most = usage{max(most.tasks, used.tasks), max(most.memory, used.memory), max(most.cpus, used.cpus), max(most.pids, used.pids)}
		total = usage{
			total.tasks + used.tasks, more(total.memory, used.memory, used.tasks), more(total.cpus, used.cpus, used.tasks), more(total.pids, used.pids, used.tasks),
		}
		for _, measure := range p.Limits.measures() {
			limited[measure.key] = limited[measure.key] && measure.of(used) > 0
		}
	}
	all := total.amounts(limited)
	p.Limits = limitsOf(most.amounts(limited), &all)
}

// more gives a sum with what tasks use, without overflowing.
func more(sum, used int64, tasks uint64) int64 {
	return int64(min(float64(sum)+float64(used)*float64(tasks), math.MaxInt64/2))
}

func (u usage) amounts(limited map[string]bool) Amounts {
	replicas, memory, cpus, pids := Count(u.tasks), Bytes(u.memory), CPUs(u.cpus), Pids(u.pids)
	all := Amounts{Replicas: &replicas}
	if limited["memory"] {
		all.Memory = &memory
	}
	if limited["cpus"] {
		all.CPUs = &cpus
	}
	if limited["pids"] {
		all.Pids = &pids
	}
	return all
}
