package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func (l *lab) sendAll(topic, tag, prefix string, count int) {
	made := l.producer(producer.WithInstanceName(l.named("sender-" + prefix)))
	for index, body := range numbered(prefix, count) {
		sent(made.SendSync(context.Background(), message(topic, tag, fmt.Sprintf("k%d", index), body)))
	}
}

// push shares the queues of a topic between two consumers of a group; a group with tags gets theirs alone.
func push(lab *lab) {
	topic := lab.topic("topic", 4)
	shared, tagged := &inbox{}, &inbox{}
	lab.consume("group", "a", topic, "*", shared.into("a"))
	lab.consume("group", "b", topic, "*", shared.into("b"))
	lab.consume("tagged", "c", topic, "red || green", tagged.into("c"))
	lab.sendAll(topic, "red", "red", 40)
	lab.sendAll(topic, "blue", "blue", 40)
	lab.sendAll(topic, "green", "green", 40)
	shared.awaitBodies(120)
	tagged.awaitBodies(80)
	expected := append(append(numbered("blue", 40), numbered("green", 40)...), numbered("red", 40)...)
	counts := shared.counts()
	for _, body := range expected {
		// Queues may go from one to the other at the start: delivered again, never left out.
		that(body+" is missing", counts[body] >= 1)
	}
	same("bodies", 120, len(counts))
	same("tagged", expected[40:], tagged.bodies())
	lab.facts["messages"] = len(counts)
	lab.facts["tagged"] = 80
	lab.facts["deliveries"] = len(shared.all())
}

type byKey struct{}

func (byKey) Select(one *primitive.Message, queues []*primitive.MessageQueue, _ string) *primitive.MessageQueue {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(one.GetShardingKey()))
	return queues[int(sum.Sum32()%uint32(len(queues)))]
}

// orderly keeps the order of each key: one queue at a time, locked at the broker.
func orderly(lab *lab) {
	topic := lab.topic("topic", 3)
	got := &inbox{}
	var mutex sync.Mutex
	inside := map[int]int{}
	putOff := map[string]bool{}
	faults := []string{}
	lab.consume("group", "a", topic, "*", func(_ context.Context, one *primitive.MessageExt) consumer.ConsumeResult {
		mutex.Lock()
		queue := one.Queue.QueueId
		inside[queue]++
		if inside[queue] != 1 {
			faults = append(faults, fmt.Sprintf("two at a time in queue %d", queue))
		}
		isFirst := !putOff[string(one.Body)]
		putOff[string(one.Body)] = true
		mutex.Unlock()
		defer func() {
			mutex.Lock()
			inside[queue]--
			mutex.Unlock()
		}()
		if isFirst && one.GetKeys() == "k5" {
			return consumer.SuspendCurrentQueueAMoment
		}
		got.add(one, "a")
		return consumer.ConsumeSuccess
	}, consumer.WithConsumerOrder(true), consumer.WithSuspendCurrentQueueTimeMillis(100*time.Millisecond))
	made := lab.producer(producer.WithQueueSelector(byKey{}))
	for step := 0; step < 10; step++ {
		for order := 0; order < 6; order++ {
			one := message(topic, "t", fmt.Sprintf("k%d", step), fmt.Sprintf("order-%d-%02d", order, step))
			one.WithShardingKey(fmt.Sprint("order", order))
			sent(made.SendSync(context.Background(), one))
		}
	}
	got.awaitBodies(60)
	same("faults", []string{}, faults)
	same("deliveries", 60, len(got.all()))
	next := map[int]int64{}
	for _, one := range got.all() {
		queue := one.message.Queue.QueueId
		same(fmt.Sprintf("offset in queue %d", queue), next[queue], one.message.QueueOffset)
		next[queue]++
	}
	lab.facts["messages"] = 60
}

func broadcast(lab *lab) {
	topic := lab.topic("topic", 2)
	inboxes := []*inbox{{}, {}}
	for index, got := range inboxes {
		who := fmt.Sprint("consumer", index)
		lab.consume("group", who, topic, "*", got.into(who), consumer.WithConsumerModel(consumer.BroadCasting))
	}
	lab.sendAll(topic, "t", "all", 40)
	for _, got := range inboxes {
		got.awaitBodies(40)
		same("each gets all, once", numbered("all", 40), got.bodies())
	}
	lab.facts["messages"] = 80
}

// retry takes message n at its n-th redelivery.
func retry(lab *lab) {
	topic := lab.topic("topic", 1)
	got := &inbox{}
	lab.consume("group", "a", topic, "*", func(_ context.Context, one *primitive.MessageExt) consumer.ConsumeResult {
		got.add(one, "a")
		if one.ReconsumeTimes < int32(one.Body[len(one.Body)-1]-'0') {
			return consumer.ConsumeRetryLater
		}
		return consumer.ConsumeSuccess
	}, consumer.WithMaxReconsumeTimes(16))
	lab.sendAll(topic, "t", "retry", 4)
	until("all tries", func() bool { return len(got.tries()) == 10 })
	tries := got.tries()
	for index, body := range numbered("retry", 4) {
		for times := 0; times <= index; times++ {
			that(fmt.Sprintf("try %d of %s", times, body), tries[fmt.Sprintf("%s@%d", body, times)])
		}
		if !got.hasGivenUp() {
			same("deliveries of "+body, index+1, got.counts()[body])
		}
	}
	for _, one := range got.all() {
		same("topic", topic, one.message.Topic)
		same("tag", "t", one.message.GetTags())
	}
	lab.facts["deliveries"] = len(tries)
	lab.facts["again"] = len(got.all()) - len(tries)
}

// pull polls with a group, acknowledges, and goes on where it was.
func pull(lab *lab) {
	topic := lab.topic("topic", 2)
	lab.sendAll(topic, "t", "first", 30)
	first := startPull(lab, "a", topic)
	same("polled", numbered("first", 30), poll(first, 30))
	must(first.Shutdown())
	lab.sendAll(topic, "t", "second", 20)
	second := startPull(lab, "b", topic)
	same("polled after", numbered("second", 20), poll(second, 20))
	must(second.Shutdown())
	lab.facts["messages"] = 50
}

func startPull(lab *lab, who, topic string) rocketmq.PullConsumer {
	made, err := rocketmq.NewPullConsumer(lab.options("group", who)...)
	must(err)
	must(made.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "*"}))
	must(made.Start())
	return made
}

func poll(from rocketmq.PullConsumer, count int) []string {
	got := &inbox{}
	until(fmt.Sprintf("%d polled", count), func() bool {
		request, err := from.Poll(context.Background(), time.Second)
		if err != nil && (consumer.IsNoNewMsgError(err) || errors.Is(err, consumer.ErrNoNewMsg)) {
			return false
		}
		must(err)
		for _, one := range request.GetMsgList() {
			got.add(one, "")
		}
		from.ACK(context.Background(), request, consumer.ConsumeSuccess)
		return len(got.all()) >= count
	})
	return got.bodies()
}

// kill sends and consumes while the broker is killed and started again: what was answered SEND_OK is consumed, in order.
func kill(lab *lab) {
	topic := lab.topic("topic", 1)
	got := &inbox{}
	lab.consume("group", "a", topic, "*", got.into("a"), consumer.WithConsumerOrder(true))
	made := lab.producer(producer.WithSendMsgTimeout(2*time.Second), producer.WithRetry(0))
	acknowledged := map[string]bool{}
	failures := 0
	sendUntil := func(count int) {
		until(fmt.Sprintf("%d acknowledged", count), func() bool {
			body := fmt.Sprintf("lane-%06d", len(acknowledged))
			found, err := made.SendSync(context.Background(), message(topic, "t", "k", body))
			if err != nil || found.Status != primitive.SendOK {
				failures++
				return false
			}
			acknowledged[body] = true
			return len(acknowledged) >= count
		})
	}
	sendUntil(100)
	done := make(chan bool)
	go func() {
		ask("kill")
		ask("restart")
		close(done)
	}()
	for isDown := true; isDown; {
		select {
		case <-done:
			isDown = false
		default:
			body := fmt.Sprintf("lane-%06d", len(acknowledged))
			found, err := made.SendSync(context.Background(), message(topic, "t", "k", body))
			if err == nil && found.Status == primitive.SendOK {
				acknowledged[body] = true
			} else {
				failures++
				time.Sleep(20 * time.Millisecond)
			}
		}
	}
	sendUntil(len(acknowledged) + 100)
	got.awaitBodies(len(acknowledged))
	counts := got.counts()
	highest := -1
	for _, one := range got.all() {
		var number int
		_, err := fmt.Sscanf(one.body(), "lane-%06d", &number)
		must(err)
		that(fmt.Sprintf("after %d came %d", highest, number), number <= highest+1)
		highest = max(highest, number)
	}
	for body := range acknowledged {
		that(body+" is missing", counts[body] >= 1)
	}
	that("the kill was noticed", failures > 0)
	lab.facts["kills"] = 1
	lab.facts["acknowledged"] = len(acknowledged)
	lab.facts["failures"] = failures
}
