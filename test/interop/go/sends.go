package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// send sends in every way, and reads back content, places and counts.
func send(lab *lab) {
	topic := lab.topic("topic", 2)
	background := context.Background()
	made := lab.producer()
	expected := []string{}
	places := map[string]*primitive.SendResult{}
	for index := 0; index < 40; index++ {
		body := fmt.Sprintf("sync-%04d größe 消息", index)
		one := message(topic, fmt.Sprintf("tag%d", index%2), fmt.Sprintf("key-%d", index), body)
		one.WithProperty("number", fmt.Sprint(index))
		places[body] = sent(made.SendSync(background, one))
		expected = append(expected, body)
	}
	var running sync.WaitGroup
	for _, body := range numbered("async", 40) {
		running.Add(1)
		must(made.SendAsync(background, func(_ context.Context, found *primitive.SendResult, err error) {
			sent(found, err)
			running.Done()
		}, message(topic, "async", "k", body)))
		expected = append(expected, body)
	}
	running.Wait()
	for _, body := range numbered("oneway", 20) {
		must(made.SendOneWay(background, message(topic, "oneway", "k", body)))
		expected = append(expected, body)
	}
	batch := []*primitive.Message{}
	for _, body := range numbered("batch", 20) {
		batch = append(batch, message(topic, "batch", "k", body))
		expected = append(expected, body)
	}
	sent(made.SendSync(background, batch...))
	// Above 4 KiB the client compresses.
	large := "large" + string(make([]byte, 100_000))
	sent(made.SendSync(background, message(topic, "large", "k", large)))
	expected = append(expected, large)
	got := &inbox{}
	lab.consume("group", "a", topic, "*", got.into("a"))
	got.awaitBodies(len(expected))
	counts := got.counts()
	for _, body := range expected {
		same("deliveries of "+body[:min(20, len(body))], 1, counts[body])
	}
	same("bodies", len(expected), len(counts))
	for _, one := range got.all() {
		place, isSync := places[one.body()]
		if !isSync {
			continue
		}
		index := int(one.body()[7]-'0')*10 + int(one.body()[8]-'0')
		same("tag", fmt.Sprintf("tag%d", index%2), one.message.GetTags())
		same("keys", fmt.Sprintf("key-%d", index), one.message.GetKeys())
		same("property", fmt.Sprint(index), one.message.GetProperty("number"))
		same("queue offset", place.QueueOffset, one.message.QueueOffset)
		same("queue", place.MessageQueue.QueueId, one.message.Queue.QueueId)
		same("id", place.MsgID, one.message.MsgId)
		same("topic", topic, one.message.Topic)
	}
	lab.facts["messages"] = len(counts)
}

// delay sends with a level and with a time; the levels of the broker under test are 1s 1s 1s 2s 1s ….
func delay(lab *lab) {
	topic := lab.topic("topic", 2)
	made := lab.producer()
	got := &inbox{}
	lab.consume("group", "a", topic, "*", got.into("a"))
	due := map[string]time.Time{}
	for index, body := range numbered("later", 12) {
		one := message(topic, "late", fmt.Sprintf("key-%d", index), body)
		switch index % 3 {
		case 0:
			due[body] = time.Now().Add(time.Second)
			one.WithDelayTimeLevel(1)
		case 1:
			due[body] = time.Now().Add(2 * time.Second)
			one.WithDelayTimeLevel(4)
		default:
			due[body] = time.Now().Add(1500 * time.Millisecond)
			one.WithDelayTimestamp(due[body])
		}
		sent(made.SendSync(context.Background(), one))
	}
	got.awaitBodies(12)
	same("bodies", numbered("later", 12), got.bodies())
	for _, one := range got.all() {
		early := due[one.body()].Sub(one.at)
		// Timers of the real thing work in ticks.
		that(fmt.Sprintf("%s came %v early", one.body(), early), early < time.Second)
		same("topic", topic, one.message.Topic)
		same("tag", "late", one.message.GetTags())
	}
	lab.facts["messages"] = 12
}

type ending struct {
	mutex   sync.Mutex
	checked map[string]bool
}

func endOf(body []byte) int { return int(body[len(body)-1]-'0') % 4 }

func (e *ending) ExecuteLocalTransaction(one *primitive.Message) primitive.LocalTransactionState {
	switch endOf(one.Body) {
	case 0:
		return primitive.CommitMessageState
	case 1:
		return primitive.RollbackMessageState
	}
	return primitive.UnkonwnState
}

func (e *ending) CheckLocalTransaction(one *primitive.MessageExt) primitive.LocalTransactionState {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.checked[string(one.Body)] = true
	if endOf(one.Body)%2 == 0 {
		return primitive.CommitMessageState
	}
	return primitive.RollbackMessageState
}

// transaction sends ten messages: committed or rolled back at once, or by a check of the broker.
func transaction(lab *lab) {
	topic := lab.topic("topic", 1)
	listener := &ending{checked: map[string]bool{}}
	made, err := rocketmq.NewTransactionProducer(listener,
		producer.WithNsResolver(lab.resolver()),
		producer.WithGroupName(lab.named("producers")),
		producer.WithInstanceName(lab.named("producer")),
		// By default it sends a message again after three seconds, and a machine that does other things too may need them.
		producer.WithSendMsgTimeout(sendTime),
	)
	must(err)
	must(made.Start())
	lab.closings = append(lab.closings, func() { _ = made.Shutdown() })
	got := &inbox{}
	lab.consume("group", "a", topic, "*", got.into("a"))
	expected := []string{}
	unknown := []string{}
	for index, body := range numbered("tx", 10) {
		_, err := made.SendMessageInTransaction(context.Background(), message(topic, "tx", fmt.Sprintf("key-%d", index), body))
		must(err)
		if index%4%2 == 0 {
			expected = append(expected, body)
		}
		if index%4 >= 2 {
			unknown = append(unknown, body)
		}
	}
	until("checks of all that are unknown", func() bool {
		listener.mutex.Lock()
		defer listener.mutex.Unlock()
		for _, body := range unknown {
			if !listener.checked[body] {
				return false
			}
		}
		return true
	})
	got.awaitBodies(len(expected))
	same("visible", expected, got.bodies())
	for _, one := range got.all() {
		same("topic", topic, one.message.Topic)
	}
	lab.facts["visible"] = len(expected)
	lab.facts["checked"] = len(unknown)
}
