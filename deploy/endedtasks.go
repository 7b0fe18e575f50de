package deploy

import (
	"context"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// EndedTask is a task that ended by itself.
type EndedTask struct {
	ID       string
	Replica  string    // its slot, or its node for a global service
	Node     string    // the name of the node that it ran on
	At       time.Time // when the managers learned of it, by their clock: that of a worker may be wrong
	ExitCode int
	Error    string // the engine's words, with what looks secret masked
}

// Tasks reads the tasks of a Swarm, and follows the ends of containers on this node.
type Tasks struct{ engine *Engine }

// TasksOf gives the Tasks of an engine.
func TasksOf(engine *Engine) Tasks { return Tasks{engine} }

// Ended lists the tasks of a stack's services that ended by themselves, by the services'
// full names. It takes one call to the engine, and one for each node that
// they ran on. Swarm keeps the last five tasks of each replica, unless it is told otherwise.
func (t Tasks) Ended(ctx context.Context, stack string, services []ServiceStatus) (map[string][]EndedTask, error) {
	tasks, err := t.engine.reader.tasks(ctx, stackLabel(stack))
	if err != nil {
		return nil, err
	}
	ended, nodes := map[string][]EndedTask{}, map[string]string{}
	for _, service := range services {
		for _, task := range tasks[service.ID] {
			if over(task) {
				one := endedTask(task)
				one.Node = t.nodeName(ctx, nodes, task.NodeID)
				ended[service.Name] = append(ended[service.Name], one)
			}
		}
	}
	return ended, nil
}

// nodeName gives the name of a node, which is asked for once; "" if it is not known.
func (t Tasks) nodeName(ctx context.Context, known map[string]string, id string) string {
	if _, asked := known[id]; !asked && id != "" {
		known[id] = ""
		if node, _, err := t.engine.host.NodeInspectWithRaw(ctx, id); err == nil {
			known[id] = node.Description.Hostname
		}
	}
	return known[id]
}

func endedTask(task swarm.Task) EndedTask {
	ended := EndedTask{ID: task.ID, Replica: task.NodeID, At: task.UpdatedAt, Error: clean(task.Status.Err)}
	if task.Slot != 0 {
		ended.Replica = strconv.Itoa(task.Slot)
	}
	if container := task.Status.ContainerStatus; container != nil {
		ended.ExitCode = container.ExitCode
	}
	return ended
}
