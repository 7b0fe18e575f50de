package rollout

// Abandon ends the last sync, which is not over, because the stack is not kept in sync any more.
// What runs stays.
func (r *Rollouts) Abandon(base Base, summary string) error {
	a := &attempt{use: r.use, cron: r.cron, base: base}
	replaced, err := a.supersede(summary)
	if err != nil {
		return err
	}
	return a.use.end(replaced)
}
