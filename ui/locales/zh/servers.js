// 服务器列表及其操作。

export default {
  "action.start": "启动",
  "action.stop": "停止",
  "action.restart": "重启",
  "action.delete": "删除",
  "action.edit": "编辑",
  "action.save": "保存",

  "servers.search": "搜索服务器",
  "servers.all": "全部",
  "servers.noMatch": "没有匹配的服务器",
  "servers.noMatchHint": "{n} 台服务器中没有符合搜索条件和状态的。",

  "server.id": "ID",
  "server.status": "状态",
  "server.address": "内部地址",
  "server.creator": "创建者",
  "server.version": "版本",
  "server.updated": "更新时间",
  "server.actions": "操作",
  "server.stopping": "停止中",
  "server.restarting": "重启中",
  "server.restartNeeded": "需要重启",
  "server.memory": "内存",
  "server.memoryOf": "{used} / {limit}",
  "server.memoryAtMost": "上限 {limit}",

  "tab.logs": "日志",

  "list.shown": "已显示 {n} / {all}",

  "bulk.label": "选中的服务器",
  "bulk.all": "全选（{n}）",
  "bulk.choose": "选择 {name}",
  "bulk.chosen": "已选 {n} 台",
  "bulk.clear": "取消选择",
  "bulk.ask": "{action} {n} 台服务器？",
  "bulk.do": "{action} {n} 台",
  "bulk.means.start": "逐一启动；休眠中的会被唤醒。",
  "bulk.means.stop": "在重新启动之前，客户端得不到响应；正在进行的调用会中断。",
  "bulk.means.restart": "每台都会换用新容器。正在进行的调用会中断，新的调用会等它恢复。",
  "bulk.progress": "进度",
  "bulk.running": "{action}：{done} / {all}…",
  "bulk.done": "{action}：已向 {n} 台发出，全部接受。",
  "bulk.doneWithFailures": "{action}：{n} 台接受，{failed} 台未成功。",
  "bulk.retry": "重试未成功的",
};
