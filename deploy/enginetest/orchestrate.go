package enginetest

import (
	"cmp"
	"slices"

	"github.com/docker/docker/api/types/swarm"
)

// reconcileSoon plans the next reconciliation of a service's tasks with its spec.
func (e *Engine) reconcileSoon(s *service) {
	if s.planned || s.removed {
		return
	}
	s.planned = true
	e.after(orchestrates, func() {
		s.planned = false
		switch {
		case s.removed:
		case s.spec.Mode.ReplicatedJob != nil:
			e.reconcileReplicatedJob(s)
		case s.spec.Mode.GlobalJob != nil:
			e.reconcileGlobalJob(s)
		case s.spec.Mode.Global != nil:
			e.reconcileGlobal(s)
		default:
			e.reconcileReplicated(s)
		}
	})
}

// slots sorts a service's tasks: those that an update would replace, by slot, and the
// slots that have no such task.
func (e *Engine) slots(s *service) (live [][]*task, dead []slot) {
	var order []slot
	bySlot := map[slot][]*task{}
	for _, t := range s.tasks {
		if _, seen := bySlot[t.slot()]; !seen {
			order = append(order, t.slot())
		}
		bySlot[t.slot()] = append(bySlot[t.slot()], t)
	}
	slices.SortFunc(order, func(a, b slot) int { return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.node, b.node)) })
	for _, in := range order {
		if tasks := e.updatable(s, bySlot[in]); len(tasks) > 0 {
			live = append(live, tasks)
		} else {
			dead = append(dead, in)
		}
	}
	return live, dead
}

// updatable gives those tasks of a slot that Swarm wants, or the newest of them where
// the restart policy leaves it ended.
func (e *Engine) updatable(s *service, tasks []*task) []*task {
	var wanted []*task
	for _, t := range tasks {
		if t.desired <= stageRunning {
			wanted = append(wanted, t)
		}
	}
	if len(wanted) > 0 || s.inState(swarm.UpdateStateRollbackStarted) {
		return wanted
	}
	newest := slices.MaxFunc(tasks, func(a, b *task) int { return a.changed.Compare(b.changed) })
	if !e.restarts(newest) {
		return []*task{newest}
	}
	return nil
}

// reconcileReplicated makes as many tasks as there are replicas, removes what is too
// many, and has the rest updated.
func (e *Engine) reconcileReplicated(s *service) {
	live, dead := e.slots(s)
	replicas := int(min(*s.spec.Mode.Replicated.Replicas, 1<<20))
	keep := live
	if replicas < len(live) {
		byUse := inOrderOfUse(live)
		keep = byUse[:replicas]
		for _, tasks := range byUse[replicas:] {
			for _, t := range tasks {
				e.want(t, stageRemove)
			}
		}
	}
	e.update(s, keep)
	taken := map[int]bool{}
	for _, tasks := range live {
		taken[tasks[0].number] = true
	}
	added := map[int]bool{}
	for number := 1; len(live)+len(added) < replicas; number++ {
		if !taken[number] {
			added[number] = true
			e.newTask(s, number, nil, stageRunning)
		}
	}
	for _, in := range dead {
		if added[in.number] {
			continue
		}
		for _, t := range s.inSlot(in) {
			e.removeTask(t)
		}
	}
}

// inOrderOfUse puts the slots that are to stay first: those that run, the first of
// each node before the second, the lower number before the higher.
func inOrderOfUse(live [][]*task) [][]*task {
	order := slices.Clone(live)
	idle := func(tasks []*task) int {
		if slices.ContainsFunc(tasks, func(t *task) bool { return t.stage == stageRunning }) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(order, func(a, b []*task) int {
		return cmp.Or(cmp.Compare(idle(a), idle(b)), cmp.Compare(a[0].number, b[0].number))
	})
	onNode, index := map[*node]int{}, map[*task]int{}
	for _, tasks := range order {
		index[tasks[0]] = 1 << 30
		if len(tasks) == 1 && tasks[0].node != nil {
			onNode[tasks[0].node]++
			index[tasks[0]] = onNode[tasks[0].node]
		}
	}
	slices.SortStableFunc(order, func(a, b []*task) int { return cmp.Compare(index[a[0]], index[b[0]]) })
	return order
}

// reconcileGlobal makes one task for each node that the constraints admit.
func (e *Engine) reconcileGlobal(s *service) {
	live, _ := e.slots(s)
	onNode := map[*node][]*task{}
	for _, tasks := range live {
		onNode[tasks[0].node] = tasks
	}
	var keep [][]*task
	for _, on := range e.nodes {
		tasks := onNode[on]
		switch {
		case !on.satisfies(s.spec.TaskTemplate.Placement):
			for _, t := range tasks {
				e.want(t, stageShutdown)
			}
		case len(tasks) == 0:
			e.newTask(s, 0, on, stageRunning)
		default:
			keep = append(keep, tasks)
		}
	}
	e.update(s, keep)
}

// reconcileReplicatedJob makes the tasks that are missing to the completions of a job,
// as many at once as it allows, and removes those of earlier runs.
func (e *Engine) reconcileReplicatedJob(s *service) {
	job := s.spec.Mode.ReplicatedJob
	taken := map[int]bool{}
	running, complete := 0, 0
	for _, t := range slices.Clone(s.tasks) {
		switch {
		case t.iteration.Index != s.iteration:
			if t.stage <= stageRunning {
				e.want(t, stageRemove)
			}
			continue
		case t.stage == stageComplete:
			complete++
		case t.wanted():
			running++
		default:
			continue
		}
		taken[t.number] = true
		if t.stage > stageComplete && t.wanted() {
			e.restart(t)
		}
	}
	total, atOnce := int(min(*job.TotalCompletions, 1<<20)), int(min(*job.MaxConcurrent, 1<<20))
	missing := min(atOnce-running, total-complete-running)
	for number := 0; missing > 0; number++ {
		if !taken[number] {
			missing--
			e.newTask(s, number, nil, stageComplete)
		}
	}
}

// reconcileGlobalJob makes the job's task for each node that the constraints admit.
func (e *Engine) reconcileGlobalJob(s *service) {
	there := map[*node]bool{}
	for _, t := range slices.Clone(s.tasks) {
		switch {
		case t.iteration.Index != s.iteration:
			e.want(t, stageRemove)
			continue
		case !t.wanted():
			continue
		}
		there[t.node] = true
		if t.stage > stageComplete {
			e.restart(t)
		}
	}
	for _, on := range e.nodes {
		if !there[on] && on.satisfies(s.spec.TaskTemplate.Placement) {
			e.newTask(s, 0, on, stageComplete)
		}
	}
}
