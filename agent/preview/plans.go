package preview

import "context"

// Plans shows the plans of merge requests; without a worker, none.
type Plans struct{ Worker *Worker }

// Run shows plans until ctx ends.
func (p Plans) Run(ctx context.Context) {
	if p.Worker != nil {
		_ = p.Worker.Run(ctx)
	}
}

// Look says that branches may have moved, or that a sync may be over.
func (p Plans) Look() {
	if p.Worker != nil {
		p.Worker.Look()
	}
}

// Relist says that a merge request was opened again, or goes into another branch.
func (p Plans) Relist() {
	if p.Worker != nil {
		p.Worker.Relist()
	}
}

// Hold ends a plan that is being made, and lets none begin until release is called.
func (p Plans) Hold() (release func()) {
	if p.Worker == nil {
		return func() {}
	}
	return p.Worker.Hold()
}
