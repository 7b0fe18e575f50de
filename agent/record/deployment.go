package record

// Deployment is what a sync is about to bring to the node, beside its plan: what
// its manifest tells. It is recorded with the plan.
type Deployment struct {
	Agent      string    `json:"agent,omitempty"` // the version that made the plan
	TaskID     string    `json:"task_id,omitempty"`
	PipelineID string    `json:"pipeline_id,omitempty"`
	Nodes      []string  `json:"nodes,omitempty"`    // of the environment, in the order of config.yml
	URL        string    `json:"url,omitempty"`      // of the node, as config.yml has it
	Services   []Image   `json:"services,omitempty"` // sorted by service
	Secrets    []Version `json:"secrets,omitempty"`  // sorted by name
	Configs    []Version `json:"configs,omitempty"`
}

// Image is what a service runs, with its digest where that is known.
type Image struct {
	Service string `json:"service"` // full name
	Image   string `json:"image"`
	Before  string `json:"before,omitempty"` // what ran before, where that is another
	New     bool   `json:"new,omitempty"`    // the service was not there
}

// Version is a secret or config that services use, by its name in Swarm.
type Version struct {
	Name string   `json:"name"`
	Key  string   `json:"key,omitempty"` // in the compose file; none for an external one
	By   []string `json:"by,omitempty"`  // services, sorted
}
