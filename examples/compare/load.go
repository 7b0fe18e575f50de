package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// load is how much is deployed.
type load struct{ stacks, services int } // services of each stack

var loads = regexp.MustCompile(`^([1-9]\d{0,2})[x×]([1-9]\d{0,2})$`)

// parseLoads reads loads such as "1x20 10x20".
func parseLoads(text string) ([]load, error) {
	var all []load
	for word := range strings.FieldsSeq(text) {
		match := loads.FindStringSubmatch(word)
		if match == nil {
			return nil, fmt.Errorf("the load %q is not stacks x services, such as 10x20", word)
		}
		stacks, _ := strconv.Atoi(match[1])
		services, _ := strconv.Atoi(match[2])
		all = append(all, load{stacks, services})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no load is given: write stacks x services, such as 10x20")
	}
	return all, nil
}

func (l load) String() string {
	if l.stacks == 1 {
		return fmt.Sprintf("1 stack × %d services", l.services)
	}
	return fmt.Sprintf("%d stacks × %d services", l.stacks, l.services)
}

// names lists the names of the stacks.
func (l load) names() []string {
	var names []string
	for i := range l.stacks {
		names = append(names, fmt.Sprintf("shop%02d", i+1))
	}
	return names
}

// service gives the name of a service in its compose file.
func service(i int) string { return fmt.Sprintf("service%03d", i+1) }

// images is how many images the services have: each has its own.
func (l load) images() int { return l.stacks * l.services }

// imageOf gives the image of a number.
func imageOf(registry string, number int) string {
	return fmt.Sprintf("%s/shop:%04d", registry, number)
}

// estate is what is to run: the release of each service of each stack.
type estate struct {
	load
	registry string
	releases map[string][]int // by the name of the stack
}

// newEstate gives an estate with all services at a release.
func newEstate(l load, registry string, release int) *estate {
	e := &estate{load: l, registry: registry, releases: map[string][]int{}}
	for _, name := range l.names() {
		e.releases[name] = make([]int, l.services)
	}
	e.raise(release)
	return e
}

// image gives the image of a service of a stack.
func (e *estate) image(stack string, i int) string {
	return imageOf(e.registry, slices.Index(e.names(), stack)*e.services+i)
}

// raise brings all services to a release.
func (e *estate) raise(release int) {
	for _, services := range e.releases {
		for i := range services {
			services[i] = release
		}
	}
}

// compose gives the compose file of a stack. The services have no tasks: what is measured is
// how specs get into the engine, not how fast containers start.
func (e *estate) compose(stack string) string {
	var text strings.Builder
	text.WriteString("version: \"3.8\"\nservices:\n")
	for i, release := range e.releases[stack] {
		fmt.Fprintf(&text, `  %[1]s:
    image: %[2]s
    command: ["serve", "--port", "8080"]
    environment:
      RELEASE: "%[3]d"
      NAME: %[1]s
      LOG_LEVEL: info
      DATABASE_HOST: postgres
      DATABASE_PORT: "5432"
      CACHE_URL: redis://cache:6379/0
      QUEUE_URL: amqp://queue:5672
      PUBLIC_URL: https://shop.example.com/%[1]s
    networks: [back]
    configs:
      - source: settings
        target: /etc/shop/settings.yml
    healthcheck:
      test: ["CMD", "/app", "health"]
      interval: 10s
      timeout: 3s
      retries: 3
    logging:
      driver: json-file
      options: {max-size: 10m, max-file: "3"}
    deploy:
      replicas: 0
      labels:
        traefik.enable: "true"
        traefik.http.routers.%[1]s.rule: Host(`+"`shop.example.com`"+`) && PathPrefix(`+"`/%[1]s`"+`)
        traefik.http.services.%[1]s.loadbalancer.server.port: "8080"
      resources:
        limits: {cpus: "0.5", memory: 256M}
        reservations: {memory: 64M}
      update_config: {parallelism: 1, delay: 5s, order: start-first, failure_action: rollback}
      restart_policy: {condition: on-failure, delay: 5s, max_attempts: 5, window: 2m}
`, service(i), e.image(stack, i), release)
	}
	text.WriteString("networks:\n  back: {}\nconfigs:\n  settings:\n    file: ./settings.yml\n")
	return text.String()
}

// folder gives the folder of a stack in the node's folder, which is that of its only stack.
func (l load) folder(stack string) string {
	if l.stacks == 1 {
		return "."
	}
	return stack
}

// config gives the config.yml of the agent's environment. No stack waits for another one, as no
// docker stack deploy waits for tasks.
func (e *estate) config() string {
	var text strings.Builder
	text.WriteString("environment: {name: " + environment + ", type: non-production}\nimages: {resolve: always}\nnodes:\n  - name: " + node + "\n")
	if e.stacks == 1 {
		text.WriteString("    stack: " + e.names()[0] + "\n")
		return text.String()
	}
	text.WriteString("    stacks:\n")
	for _, name := range e.names() {
		text.WriteString("      - {name: " + name + ", waits_for: []}\n")
	}
	return text.String()
}
