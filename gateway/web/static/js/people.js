// What people ask for, in words.
import { h } from "./dom.js";
import { addWords, has, t } from "./words.js";

addWords({
  zh: {
    "did.ReceiveStock": "入库",
    "did.AdjustStock": "调整库存",
    "did.CountStock": "盘点",
    "did.TransferStock": "调拨",
    "did.ReturnStock": "退货入库",
    "did.CreateSku": "新建商品",
    "did.UpdateSku": "修改商品",
    "did.FreezeSku": "冻结商品",
    "did.UnfreezeSku": "解冻商品",
    "did.CreateLocation": "新建仓位",
    "did.UpdateLocation": "修改仓位",
    "did.CreateChannel": "新建渠道",
    "did.UpdateChannel": "修改渠道",
    "did.SetCredentials": "更换渠道凭证",
    "did.LinkListing": "关联链接",
    "did.UnlinkListing": "解除关联",
    "did.SetPolicy": "修改分配策略",
    "did.ImportCatalog": "导入目录",
    "did.PauseChannel": "暂停渠道",
    "did.ResumeChannel": "恢复渠道",
    "did.ResyncListing": "重新读回链接",
    "did.ResolveShortfall": "处理缺货",
    "did.Acknowledge": "认领预警",
    "did.CompleteStep": "完成步骤",
    "did.Silence": "静音",
    "did.EndSilence": "结束静音",
    "did.SetAlertPolicy": "修改预警设置",
    "did.SetRunbook": "修改预案",
    "did.AnnounceIncoming": "登记在途",
    "did.CancelIncoming": "取消在途",
    "did.SetDemandProfile": "更新销售规律",
    "did.StartDrill": "开始演练",
    "did.StopDrill": "结束演练",
    "did.OpenSession": "开播",
    "did.UpdateSession": "调整场次",
    "did.CloseSession": "下播",
    "did.SetTemplate": "修改话术",
    "did.DeleteTemplate": "删除话术",
    "did.DecideProposal": "决定提议",
    "did.TraceSku": "跟踪商品",
    "outcome.ok": "已完成",
    "outcome.unknown": "不知道",
    "outcome.unknown_hint": "还在进行，或者网关中途停了；做没做成，看对象本身。",
  },
  en: {
    "did.ReceiveStock": "Receive stock",
    "did.AdjustStock": "Adjust stock",
    "did.CountStock": "Count stock",
    "did.TransferStock": "Transfer stock",
    "did.ReturnStock": "Return stock",
    "did.CreateSku": "Create SKU",
    "did.UpdateSku": "Update SKU",
    "did.FreezeSku": "Freeze SKU",
    "did.UnfreezeSku": "Unfreeze SKU",
    "did.CreateLocation": "Create location",
    "did.UpdateLocation": "Update location",
    "did.CreateChannel": "Create channel",
    "did.UpdateChannel": "Update channel",
    "did.SetCredentials": "Set credentials",
    "did.LinkListing": "Link listing",
    "did.UnlinkListing": "Unlink listing",
    "did.SetPolicy": "Set policy",
    "did.ImportCatalog": "Import catalog",
    "did.PauseChannel": "Pause channel",
    "did.ResumeChannel": "Resume channel",
    "did.ResyncListing": "Resync listing",
    "did.ResolveShortfall": "Resolve shortfall",
    "did.Acknowledge": "Acknowledge",
    "did.CompleteStep": "Complete step",
    "did.Silence": "Silence",
    "did.EndSilence": "End silence",
    "did.SetAlertPolicy": "Set alert policy",
    "did.SetRunbook": "Set runbook",
    "did.AnnounceIncoming": "Announce incoming",
    "did.CancelIncoming": "Cancel incoming",
    "did.SetDemandProfile": "Set demand profile",
    "did.StartDrill": "Start drill",
    "did.StopDrill": "Stop drill",
    "did.OpenSession": "Open session",
    "did.UpdateSession": "Update session",
    "did.CloseSession": "Close session",
    "did.SetTemplate": "Set template",
    "did.DeleteTemplate": "Delete template",
    "did.DecideProposal": "Decide proposal",
    "did.TraceSku": "Trace SKU",
    "outcome.ok": "done",
    "outcome.unknown": "not known",
    "outcome.unknown_hint": "Under way, or the gateway stopped midway; the thing itself tells whether it was done.",
  },
});

/** What a method does: `StockService/AdjustStock` is `调整库存`, or `Adjust stock`; its own name if it has no words. */
export function verb(method) {
  const name = method.slice(method.indexOf("/") + 1);
  return has(`did.${name}`) ? t(`did.${name}`) : name;
}

/** What became of it, as a chip. */
export function outcomeChip({ outcome }) {
  if (outcome === "OK") return h("span", { class: "chip good" }, t("outcome.ok"));
  if (outcome === "") return h("span", { class: "chip warn", title: t("outcome.unknown_hint") }, t("outcome.unknown"));
  return h("span", { class: "chip bad", title: outcome }, outcome);
}
