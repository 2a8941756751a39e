// The tests write to the shop as the demo does.
export {
  type ShopLoad as Load,
  type ShopLoadCounts as LoadCounts,
  type ShopLoadOptions as LoadOptions,
  startShopLoad as startLoad,
} from "../../lib/demo/load.ts";
